// Wires the document to the phone.

import { Console } from './console.js';
import { makeMovable } from './drag.js';
import { Line } from './line.js';
import { Phone } from './phone.js';
import { Meter } from './stats.js';
import { View } from './view.js';
import { words } from './words.js';

const el = (id) => document.getElementById(id);
const log = new Console(el('console'));
const view = new View();
const line = new Line(log, {
  up: () => phone.lineUp(),
  down: (pause) => phone.lineDown(pause),
  message: (message) => phone.receive(message),
});
const phone = new Phone(log, view, line);

function onClick(id, action) {
  el(id).addEventListener('click', action);
}

function onEnter(id, button) {
  el(id).addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.isComposing) el(button).click();
  });
}

onClick('register', () => phone.register(el('name').value.trim()));
onClick('call', () => phone.call(el('peer').value.trim()));
onClick('terminate', () => phone.stop());
onClick('cancel', () => phone.stop());
onClick('accept', () => phone.accept());
onClick('decline', () => phone.decline());
onEnter('name', 'register');
onEnter('peer', 'call');
el('name').addEventListener('input', () => view.nameProblem(''));
el('peer').addEventListener('input', () => view.peerProblem(''));

// Escape declines; the dialog is closed by the phone.
el('incoming').addEventListener('cancel', (event) => {
  event.preventDefault();
  phone.decline();
});

function toggle(id, action) {
  onClick(id, () => {
    const pressed = el(id).getAttribute('aria-pressed') !== 'true';
    el(id).setAttribute('aria-pressed', String(pressed));
    action(pressed);
  });
}

toggle('mic', (off) => phone.setEnabled('audio', !off));
toggle('camera', (off) => phone.setEnabled('video', !off));
toggle('sound', (off) => (el('videoOutput').muted = off));

onClick('clearConsole', () => log.clear());
onClick('copyConsole', async () => {
  const button = el('copyConsole');
  const copied = await navigator.clipboard?.writeText(log.text()).then(() => true, () => false);
  button.textContent = copied ? 'Copied' : 'Cannot copy';
  setTimeout(() => (button.textContent = 'Copy'), 1500);
});

makeMovable(el('videoSmall'), el('videoBig'));

// `?transport=tcp`, `?picture=test`, `?name=alice`, `?peer=bob` preset the form.
for (const [key, value] of new URLSearchParams(location.search)) {
  const field = ['transport', 'picture', 'name', 'peer'].includes(key) ? el(key) : null;
  if (field instanceof HTMLSelectElement && ![...field.options].some((option) => option.value === value)) continue;
  if (field) field.value = value;
}
if (matchMedia('(max-width: 720px)').matches) el('howto').open = false;

// Once per second, the measurements of the call.
let meter = null;
let history = [];
setInterval(async () => {
  const { connection } = phone;
  if (!connection || document.documentElement.dataset.call !== 'IN_CALL') {
    meter = null;
    history = [];
    return;
  }
  if (meter?.connection !== connection) meter = new Meter(connection);
  const reading = await meter.read();
  if (phone.connection !== connection) return;
  // Some browsers do not say which of the URIs a candidate came from.
  if (reading.local) reading.local.gateway ||= phone.gatewayOver(reading.local.transport);
  history = [...history, reading.received ?? 0].slice(-60);
  view.stats(reading, history);
  if (reading.local) phone.pathIs(reading.local);
}, 1000);

view.say(words.lineConnecting());
line.connect();
