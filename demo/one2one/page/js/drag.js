// Lets the own picture be moved inside the stage: by pointer, or with the arrow keys.

const STEP = 16;

export function makeMovable(box, stage) {
  let grip = null;

  function place(left, top) {
    const most = { left: stage.clientWidth - box.offsetWidth, top: stage.clientHeight - box.offsetHeight };
    box.style.left = `${Math.max(0, Math.min(most.left, left))}px`;
    box.style.top = `${Math.max(0, Math.min(most.top, top))}px`;
    box.style.right = 'auto';
  }

  box.addEventListener('pointerdown', (event) => {
    grip = { x: event.clientX - box.offsetLeft, y: event.clientY - box.offsetTop };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener('pointermove', (event) => {
    if (grip) place(event.clientX - grip.x, event.clientY - grip.y);
  });
  for (const end of ['pointerup', 'pointercancel']) box.addEventListener(end, () => (grip = null));

  box.addEventListener('keydown', (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    place(box.offsetLeft + move[0] * STEP, box.offsetTop + move[1] * STEP);
  });

  // Back to the corner the style sheet chose, when the stage takes another size.
  new ResizeObserver(() => {
    for (const property of ['left', 'top', 'right']) box.style[property] = '';
  }).observe(stage);
}
