// The document, and nothing but it. State is mirrored in the data attributes of <html>, where the style sheet (and
// whoever tests the page) finds it.

const el = (id) => document.getElementById(id);

export class View {
  #root = document.documentElement;
  #timer = 0;

  get transport() {
    return el('transport').value;
  }

  get picture() {
    return el('picture').value;
  }

  say({ tone, headline, detail, advice }) {
    el('status').dataset.tone = tone;
    setText('headline', headline);
    setText('detail', detail);
    setText('advice', advice);
    setText('curtainText', headline);
  }

  lineUp() {
    this.#root.dataset.line = 'up';
    setText('lineText', 'Server connected');
    this.#buttons();
  }

  lineDown() {
    this.#root.dataset.line = 'down';
    setText('lineText', 'Reconnecting');
    this.#buttons();
  }

  registration(state, name) {
    this.#root.dataset.register = state;
    el('name').readOnly = state !== 'NOT_REGISTERED';
    if (state === 'REGISTERED') {
      this.nameProblem('');
      setText('hopMe', name);
    }
    this.#buttons();
  }

  nameProblem(text) {
    problem('name', 'nameProblem', text);
  }

  peerProblem(text) {
    problem('peer', 'peerProblem', text);
  }

  focusPeer() {
    el('peer').focus();
  }

  // ---- the call

  begin(peer, isCaller) {
    const { dataset } = this.#root;
    dataset.call = 'PROCESSING_CALL';
    delete dataset.outcome;
    setText('hopPeer', peer);
    setText('monogram', monogram(peer));
    if (!isCaller) el('peer').value = peer;
    el('cancel').hidden = !isCaller;
    el('curtain').hidden = false;
    el('videoOutput').removeAttribute('poster');
    el('status').scrollIntoView({ block: 'nearest' });
    this.#buttons();
  }

  media(state) {
    this.#root.dataset.media = state;
    el('curtain').hidden = state === 'connected' || state === 'interrupted' || state === 'restarting';
  }

  inCall() {
    this.#root.dataset.call = 'IN_CALL';
    el('cancel').hidden = true;
    el('stageBar').hidden = false;
    const started = performance.now();
    const tick = () => setText('clock', clock((performance.now() - started) / 1000));
    tick();
    this.#timer = setInterval(tick, 1000);
    this.#buttons();
    if (document.activeElement === document.body) el('terminate').focus({ preventScroll: true });
  }

  end(outcome) {
    const { dataset } = this.#root;
    clearInterval(this.#timer);
    dataset.call = 'NO_CALL';
    dataset.media = 'none';
    dataset.outcome = outcome;
    delete dataset.transport;
    this.closeIncoming();
    for (const id of ['videoOutput', 'videoInput']) el(id).srcObject = null;
    el('videoOutput').poster = 'img/webrtc.svg';
    for (const id of ['curtain', 'cancel', 'videoSmall', 'stageBar', 'addresses']) el(id).hidden = true;
    for (const id of ['mic', 'camera', 'sound']) el(id).setAttribute('aria-pressed', 'false');
    el('videoOutput').muted = false;
    setText('hopPeer', 'Peer');
    for (const id of ['tagMe', 'tagPeer']) setText(id, '');
    this.#clearStats();
    this.#buttons();
  }

  localStream(stream, mirrored) {
    el('videoInput').srcObject = stream;
    el('videoInput').classList.toggle('mirrored', mirrored);
    el('videoSmall').hidden = false;
  }

  remoteStream(stream) {
    if (el('videoOutput').srcObject !== stream) el('videoOutput').srcObject = stream;
  }

  openIncoming(from) {
    setText('incomingText', `User ${from} is calling you. Do you accept the call?`);
    setText('incomingMonogram', monogram(from));
    el('incoming').showModal();
  }

  closeIncoming() {
    if (el('incoming').open) el('incoming').close();
  }

  // ---- measurements

  stats(reading, history) {
    const { local, remote } = reading;
    setText('received', number(reading.received, 0));
    setText('sent', number(reading.sent, 0));
    setText('rtt', number(reading.roundTrip, reading.roundTrip < 10 ? 1 : 0));
    setText('loss', number(reading.loss, 1));
    setText('frames', String(reading.framesDecoded));
    setText('frameSize', reading.width ? `frames of ${reading.width}×${reading.height}` : 'frames');
    Object.assign(el('stats').dataset, {
      framesDecoded: reading.framesDecoded,
      framesSent: reading.framesSent,
      packetsLost: reading.packetsLost,
      localKind: local?.kind ?? '',
      remoteKind: remote?.kind ?? '',
    });
    this.#path(local, remote);
    spark(history);
  }

  #path(local, remote) {
    if (!local || !remote) return;
    this.#root.dataset.transport = local.transport;
    setText('tagMe', local.transport ? local.transport.toUpperCase() : local.kind);
    // A relay that was heard from before it was announced counts as reflexive to some browsers.
    setText('tagPeer', remote.kind === 'relay' || remote.kind === 'prflx' ? 'relayed' : remote.kind);
    setText('gatewayAddress', local.gateway || 'not told by this browser');
    setText('relayAddress', local.address);
    setText('peerAddress', remote.address);
    el('addresses').hidden = false;
  }

  #clearStats() {
    for (const id of ['received', 'sent', 'rtt', 'loss', 'frames']) setText(id, '–');
    setText('frameSize', 'frames');
    for (const key of Object.keys(el('stats').dataset)) delete el('stats').dataset[key];
    spark([]);
  }

  #buttons() {
    const { line, register, call } = this.#root.dataset;
    const ready = line === 'up' && register === 'REGISTERED';
    el('register').disabled = line !== 'up' || register !== 'NOT_REGISTERED';
    el('call').disabled = !ready || call !== 'NO_CALL';
    el('terminate').disabled = call !== 'IN_CALL';
    for (const id of ['transport', 'picture']) el(id).disabled = call !== 'NO_CALL';
  }
}

function setText(id, text) {
  const element = el(id);
  if (element.textContent !== text) element.textContent = text;
}

function problem(inputId, id, text) {
  const input = el(inputId);
  el(id).textContent = text;
  el(id).hidden = !text;
  if (text) {
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', id);
    input.focus();
  } else {
    input.removeAttribute('aria-invalid');
    input.removeAttribute('aria-describedby');
  }
}

function monogram(name) {
  return [...name][0]?.toUpperCase() ?? '?';
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

function number(value, digits) {
  return value === null || value === undefined ? '–' : value.toFixed(digits);
}

// The last minute of received bit rates, as a line over its area.
function spark(history) {
  const most = Math.max(100, ...history);
  const x = (index) => (120 - (120 * (history.length - 1 - index)) / 59).toFixed(1);
  const points = history.map((value, index) => `${x(index)} ${(31 - (29 * value) / most).toFixed(1)}`);
  const trace = points.length > 1 ? `M${points.join('L')}` : '';
  el('spark').querySelector('.trace').setAttribute('d', trace);
  el('spark').querySelector('.area').setAttribute('d', trace && `${trace}V32H${x(0)}Z`);
}
