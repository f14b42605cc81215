// The picture and sound this window sends: camera and microphone, or a test picture for those who have none to spare.

const WIDTH = 640;
const HEIGHT = 480;
const RATE = 15;

// A problem that is explained to the person in front of the screen.
export class MediaProblem extends Error {}

export async function openMedia(source, name) {
  return source === 'test' ? testPicture(name) : camera();
}

export function closeMedia(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream?.dispatchEvent(new Event('closed'));
}

async function camera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MediaProblem('This browser gives camera and microphone to pages opened with https:// only.');
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: true,
      video: { width: { ideal: WIDTH }, frameRate: { ideal: RATE } },
    });
  } catch (error) {
    throw new MediaProblem(reason(error), { cause: error });
  }
}

function reason({ name, message }) {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'You or your browser refused camera and microphone. Allow them for this page, or send a test picture.';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'There is no camera or no microphone on this machine. You can send a test picture instead.';
    case 'NotReadableError':
    case 'AbortError':
      return 'Camera or microphone are in use by another program. You can send a test picture instead.';
    default:
      return `Camera and microphone do not work: ${message || name}.`;
  }
}

// A moving picture with the sender's name and the time, and silence.
function testPicture(name) {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const paint = canvas.getContext('2d');
  const audio = new AudioContext();
  const stream = new MediaStream([
    ...canvas.captureStream(RATE).getVideoTracks(),
    ...audio.createMediaStreamDestination().stream.getAudioTracks(),
  ]);
  const draw = () => drawTestPicture(paint, name, new Date());
  const timer = setInterval(draw, 1000 / RATE);
  draw();
  stream.addEventListener('closed', () => {
    clearInterval(timer);
    audio.close();
  });
  return stream;
}

const BARS = ['#f5f1e8', '#ffd166', '#25c2a3', '#1f8fb2', '#d1495b', '#4a3f6b', '#101c22'];

function drawTestPicture(paint, name, now) {
  const width = WIDTH / BARS.length;
  BARS.forEach((color, index) => {
    paint.fillStyle = color;
    paint.fillRect(index * width, 0, width + 1, HEIGHT);
  });
  const turn = ((now.getTime() % 4000) / 4000) * 2 * Math.PI;
  paint.fillStyle = '#101c22';
  paint.beginPath();
  paint.roundRect(150, 150, 340, 180, 24);
  paint.fill();
  paint.fillStyle = '#ffd166';
  paint.beginPath();
  paint.arc(320 + 190 * Math.cos(turn), 240 + 120 * Math.sin(turn), 14, 0, 2 * Math.PI);
  paint.fill();
  paint.fillStyle = '#f5f1e8';
  paint.textAlign = 'center';
  paint.font = '600 34px system-ui, sans-serif';
  paint.fillText(name, 320, 228, 300);
  paint.font = '28px ui-monospace, monospace';
  paint.fillText(now.toLocaleTimeString([], { hour12: false }), 320, 282);
}
