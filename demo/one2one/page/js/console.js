// The console of the page: what the tutorial tells people to look at. Lines go to the browser's console as well.
// Remote text ends up in text nodes only.

const MOST_ENTRIES = 500;

export class Console {
  #list;

  constructor(list) {
    this.#list = list;
  }

  log(text) {
    console.log(text);
    this.#add(text, 'plain');
  }

  sent(frame) {
    const text = `Sending message: ${frame}`;
    console.log(text);
    this.#add(text, 'sent');
  }

  received(frame) {
    const text = `Received message: ${frame}`;
    console.log(text);
    this.#add(text, 'received');
  }

  hint(text) {
    console.info(text);
    this.#add(text, 'hint');
  }

  problem(text) {
    console.warn(text);
    this.#add(text, 'problem');
  }

  clear() {
    this.#list.replaceChildren();
  }

  text() {
    return Array.from(this.#list.children, (entry) => entry.textContent).join('\n');
  }

  #add(text, kind) {
    const entry = document.createElement('li');
    entry.className = kind;
    // Shown by the style sheet, so that the entry's text is the line and nothing else.
    entry.dataset.time = new Date().toLocaleTimeString([], { hour12: false });
    const line = document.createElement('span');
    line.textContent = text;
    entry.append(line);
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#list.append(entry);
    if (line.scrollHeight > line.clientHeight + 2) entry.append(unfoldButton(entry));
    while (this.#list.childElementCount > MOST_ENTRIES) this.#list.firstElementChild.remove();
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function unfoldButton(entry) {
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('aria-label', 'Show the whole message');
  button.setAttribute('aria-expanded', 'false');
  button.addEventListener('click', () => {
    const open = entry.classList.toggle('open');
    button.setAttribute('aria-expanded', String(open));
    button.setAttribute('aria-label', open ? 'Show less of the message' : 'Show the whole message');
  });
  return button;
}
