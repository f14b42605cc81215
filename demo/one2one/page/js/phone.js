// The life of this window: registering, calling, being called. Talks to the server through a Line, shows itself
// through a View, and leaves media to Call.
//
// Registration: NOT_REGISTERED -> REGISTERING -> REGISTERED. Call: NO_CALL -> PROCESSING_CALL -> IN_CALL -> NO_CALL.

import { Call, ICE_FAILED } from './call.js';
import { addressOf, isRelay, peerConfiguration, transportOf, uris } from './ice.js';
import { MediaProblem, closeMedia, openMedia } from './media.js';
import { relayHint, words } from './words.js';

// Twice what the server takes at most.
const ICE_PATIENCE = 10_000;
const NAME_RETRY = 3_000;
const NAME_RETRIES = 30;

export class Phone {
  #log;
  #view;
  #line;
  #name = '';
  #registration = 'NOT_REGISTERED';
  #nameRetries = 0;
  #ice = null;
  #iceWaiters = [];
  #attempt = null;  // the call, from the first click or ring to its end
  #hinted = false;

  constructor(log, view, line) {
    this.#log = log;
    this.#view = view;
    this.#line = line;
  }

  // ---- what the person does

  register(name) {
    if (this.#registration !== 'NOT_REGISTERED') return;
    if (!name) return this.#view.nameProblem('You must insert your user name');
    if (!this.#line.isUp) return this.#view.nameProblem('There is no connection to the server');
    this.#view.nameProblem('');
    this.#name = name;
    this.#nameRetries = 0;
    this.#log.log('register');
    this.#sendRegister();
    this.#view.focusPeer();
  }

  async call(peer) {
    if (this.#attempt || this.#registration !== 'REGISTERED') return;
    if (!peer) return this.#view.peerProblem('You must specify the peer name');
    this.#view.peerProblem('');
    this.#log.log('call');
    const attempt = this.#begin(peer, true);
    await this.#try(attempt, async () => {
      const call = await this.#prepare(attempt, words.offering(peer));
      const sdpOffer = await call?.offer();
      if (this.#isOver(attempt)) return;
      this.#line.send({ id: 'call', from: this.#name, to: peer, sdpOffer });
      attempt.offered = true;
      this.#show(attempt, 'ringing', words.ringing(peer));
      call.release();
    });
  }

  async accept() {
    const attempt = this.#attempt;
    if (!attempt?.offer || attempt.accepted) return;
    attempt.accepted = true;
    this.#view.closeIncoming();
    await this.#try(attempt, async () => {
      const call = await this.#prepare(attempt, words.answering(attempt.peer));
      const sdpAnswer = await call?.answer(attempt.offer);
      if (this.#isOver(attempt)) return;
      this.#line.send({ id: 'incomingCallResponse', from: attempt.peer, callResponse: 'accept', sdpAnswer });
      this.#inCall(attempt);
      call.release();
      for (const candidate of attempt.early.splice(0)) call.remoteCandidate(candidate);
    });
  }

  decline() {
    const attempt = this.#attempt;
    if (!attempt?.offer || attempt.accepted) return;
    this.#reject(attempt.peer, 'user declined');
    this.#end(words.missed(`you declined the call of ${attempt.peer}`), 'declined');
  }

  stop() {
    if (!this.#attempt) return;
    this.#sendStop(this.#attempt);
    this.#end(words.ended('you hung up'), 'stopped');
  }

  setEnabled(kind, enabled) {
    const stream = this.#attempt?.stream;
    for (const track of stream?.getTracks() ?? []) if (track.kind === kind) track.enabled = enabled;
  }

  get connection() {
    return this.#attempt?.call?.connection ?? null;
  }

  // Where this window reaches the gateway over `transport`, if the configuration leaves no choice.
  gatewayOver(transport) {
    const [uri, ...others] = uris(peerConfiguration(this.#ice, transport));
    return uri && others.length === 0 ? addressOf(uri) : '';
  }

  // Called with what the meter read: the path of the media is known from then on.
  pathIs(local) {
    const attempt = this.#attempt;
    if (attempt?.media === 'connected') this.#view.say(words.connected(attempt.peer, local));
  }

  // ---- what the line does

  lineUp() {
    this.#view.lineUp();
    if (this.#registration === 'NOT_REGISTERED') this.#view.say(words.unregistered());
    else this.#sendRegister();
  }

  lineDown(pause) {
    this.#view.lineDown();
    for (const waiter of this.#iceWaiters.splice(0)) waiter();
    if (this.#attempt) this.#end(words.failed('server-lost', 'the call ended with it'), 'server-lost');
    if (this.#registration !== 'NOT_REGISTERED') this.#setRegistration('REGISTERING');
    this.#view.say(words.lineLost(Math.round(pause / 1000)));
  }

  receive(message) {
    switch (message.id) {
      case 'registerResponse':
        return this.#registerResponse(message);
      case 'iceConfiguration':
        return this.#iceConfiguration(message);
      case 'incomingCall':
        return this.#incomingCall(message);
      case 'callResponse':
        return this.#callResponse(message);
      case 'startCommunication':
        return this.#attempt?.accepted && this.#inCall(this.#attempt);
      case 'iceCandidate':
        return this.#remoteCandidate(message.candidate);
      case 'iceRestart':
        return this.#peerRestarts(message.sdpOffer);
      case 'iceRestartResponse':
        return this.#attempt?.call?.answered(message.sdpAnswer).catch((error) => this.#log.problem(error.message));
      case 'stopCommunication':
        return this.#peerStopped(message.message);
      case 'error':
        return this.#log.problem(`The server says: ${message.message}`);
      default:
        return this.#log.problem(`Unrecognized message ${message.id}`);
    }
  }

  // ---- registration

  #sendRegister() {
    this.#setRegistration('REGISTERING');
    this.#view.say(words.registering(this.#name));
    this.#line.send({ id: 'register', name: this.#name });
  }

  #registerResponse(message) {
    this.#log.log(`registerResponse:\n${JSON.stringify(message, null, 4)}`);
    if (message.response === 'accepted') {
      this.#ice = message.iceConfiguration;
      this.#nameRetries = NAME_RETRIES;
      this.#setRegistration('REGISTERED');
      return this.#sayRegistered();
    }
    // After a reconnect the server may still wait for our old connection to end.
    if (this.#nameRetries > 0 && /already registered/.test(message.message)) {
      this.#nameRetries -= 1;
      return void setTimeout(() => this.#line.isUp && this.#sendRegister(), NAME_RETRY);
    }
    this.#setRegistration('NOT_REGISTERED');
    this.#view.say(words.registrationFailed(message.message));
    this.#view.nameProblem(`Error registering user. See console for further information. ${message.message ?? ''}`);
  }

  #sayRegistered() {
    const all = uris(peerConfiguration(this.#ice, ''));
    const gateways = all.map((uri) => `${transportOf(uri).toUpperCase()} at ${addressOf(uri)}`);
    this.#view.say(words.registered(this.#name, gateways));
  }

  #setRegistration(state) {
    this.#registration = state;
    this.#view.registration(state, this.#name);
  }

  // ---- credentials

  #iceConfiguration(message) {
    const waiters = this.#iceWaiters.splice(0);
    const before = JSON.stringify(this.#ice);
    if (message.response === 'accepted') this.#ice = message.iceConfiguration;
    else this.#log.problem(`No fresh credentials: ${message.message}`);
    for (const waiter of waiters) waiter();
    const attempt = this.#attempt;
    // Renewed in mid-call: move the call to allocations that will live on.
    if (waiters.length === 0 && attempt?.media === 'connected' && JSON.stringify(this.#ice) !== before) {
      attempt.call.restart(this.#configuration()).catch((error) => this.#log.problem(error.message));
    }
  }

  // Credentials fetched right now, or the last ones if the server has none.
  #freshIce() {
    return new Promise((resolve) => {
      if (!this.#line.send({ id: 'iceConfiguration' })) return resolve();
      this.#iceWaiters.push(resolve);
      setTimeout(() => this.#iceWaiters.includes(resolve) && this.#line.giveUp(), ICE_PATIENCE);
    });
  }

  #configuration() {
    return peerConfiguration(this.#ice, this.#view.transport);
  }

  // ---- calls

  #begin(peer, isCaller) {
    const attempt = {
      peer,
      isCaller,
      offer: null,      // of the caller, on the callee's side
      offered: false,   // ours has left
      accepted: false,
      inCall: false,
      wasConnected: false,
      stream: null,
      call: null,
      early: [],        // candidates from before the peer connection
      media: '',
    };
    this.#attempt = attempt;
    this.#view.begin(peer, isCaller);
    return attempt;
  }

  #isOver(attempt) {
    return this.#attempt !== attempt;
  }

  async #try(attempt, steps) {
    try {
      await steps();
    } catch (error) {
      if (this.#isOver(attempt)) return;
      console.warn(error.cause ?? error);
      const code = error.code ?? (error instanceof MediaProblem ? 'no-media' : 'failed');
      this.#abort(attempt, code, error.message);
    }
  }

  // Camera, microphone and fresh credentials; then a peer connection. Undefined if the call is over meanwhile.
  async #prepare(attempt, next) {
    this.#show(attempt, 'requesting', words.requesting());
    const media = openMedia(this.#view.picture, this.#name);
    const [stream] = await Promise.all([media, this.#freshIce()]).catch(async (error) => {
      media.then(closeMedia, () => {});
      throw error;
    });
    if (this.#isOver(attempt)) return void closeMedia(stream);
    attempt.stream = stream;
    this.#view.localStream(stream, this.#view.picture === 'camera');
    this.#show(attempt, 'requesting', next);
    const configuration = this.#configuration();
    if (uris(configuration).length === 0) throw noGateway(this.#view.transport);
    attempt.call = new Call(configuration, attempt.isCaller, stream, {
      localCandidate: (candidate) => this.#localCandidate(candidate),
      remoteStream: (remote) => this.#view.remoteStream(remote),
      restartOffer: (sdpOffer) => this.#line.send({ id: 'iceRestart', sdpOffer }),
      state: (state, detail) => this.#mediaState(attempt, state, detail),
    });
    return attempt.call;
  }

  #localCandidate(candidate) {
    const plain = candidate.toJSON();
    this.#log.log(`Local candidate${JSON.stringify(plain)}`);
    this.#line.send({ id: 'onIceCandidate', candidate: plain });
    if (isRelay(candidate) && !this.#hinted) {
      this.#hinted = true;
      this.#log.hint(relayHint);
    }
  }

  #remoteCandidate(candidate) {
    if (!candidate || !this.#attempt) return;
    if (this.#attempt.call) this.#attempt.call.remoteCandidate(candidate);
    else this.#attempt.early.push(candidate);
  }

  #incomingCall({ from, sdpOffer }) {
    this.#log.log(`incomingCall: ${from}`);
    if (this.#attempt) return this.#reject(from, 'bussy');
    const attempt = this.#begin(from, false);
    attempt.offer = sdpOffer;
    this.#show(attempt, 'incoming', words.incoming(from));
    this.#view.openIncoming(from);
  }

  #reject(from, message) {
    this.#line.send({ id: 'incomingCallResponse', from, callResponse: 'reject', message });
  }

  async #callResponse({ response, sdpAnswer, message }) {
    this.#log.log(`callResponse: ${response}`);
    const attempt = this.#attempt;
    if (!attempt) return;
    if (response !== 'accepted') {
      this.#log.log(message || 'Unknown reason for call rejection.');
      this.#log.log('Call not accepted by peer. Closing call');
      return this.#end(words.refused(message || 'no reason was given'), 'refused');
    }
    await this.#try(attempt, async () => {
      await attempt.call?.answered(sdpAnswer);
      if (!this.#isOver(attempt)) this.#inCall(attempt);
    });
  }

  #inCall(attempt) {
    if (attempt.inCall) return;
    attempt.inCall = true;
    this.#view.inCall();
    attempt.call.begin();
  }

  async #mediaState(attempt, state, detail) {
    if (this.#isOver(attempt)) return;
    if (state === 'failed') return this.#abort(attempt, detail.code, detail.text);
    this.#log.log(`Connection: ${state}`);
    attempt.wasConnected ||= state === 'connected';
    this.#show(attempt, state, words[state](attempt.peer));
    if (state === 'restarting' && attempt.isCaller) {
      await this.#freshIce();
      if (!this.#isOver(attempt)) await this.#try(attempt, () => attempt.call.restart(this.#configuration()));
    }
  }

  async #peerRestarts(sdpOffer) {
    const attempt = this.#attempt;
    if (!attempt?.call) return;
    await this.#try(attempt, async () => {
      const sdpAnswer = await attempt.call.restarted(sdpOffer, this.#configuration());
      if (sdpAnswer && !this.#isOver(attempt)) this.#line.send({ id: 'iceRestartResponse', sdpAnswer });
    });
  }

  #peerStopped(message) {
    this.#log.log('Communication ended by remote peer');
    const attempt = this.#attempt;
    if (!attempt) return;
    const said = !message || message === 'remote user hanged out' ? `${attempt.peer} hung up` : message;
    if (!attempt.inCall) return this.#end(words.missed(said), 'peer-stopped');
    // The other side has given up a little earlier than this one.
    if (attempt.call?.isFailing) return this.#end(words.failed('ice-failed', ICE_FAILED), 'ice-failed');
    if (!attempt.wasConnected) return this.#end(words.failed('not-connected', said), 'not-connected');
    this.#end(words.ended(said), 'peer-stopped');
  }

  // Ends a call that cannot go on, and tells the other side.
  #abort(attempt, code, text) {
    this.#log.problem(text);
    if (attempt.offer && !attempt.inCall) {
      this.#reject(attempt.peer, code === 'no-media' ? 'user has no camera or microphone' : 'user declined');
    } else {
      this.#sendStop(attempt);
    }
    this.#end(words.failed(code, text), code);
  }

  #sendStop(attempt) {
    this.#log.log('stop:');
    if (attempt.offered || attempt.inCall) this.#line.send({ id: 'stop' });
  }

  #end(say, outcome) {
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt.call?.close();
    closeMedia(attempt.stream);
    this.#view.end(outcome);
    this.#view.say(say);
  }

  #show(attempt, media, say) {
    attempt.media = media;
    this.#view.media(media);
    this.#view.say(say);
  }
}

function noGateway(transport) {
  const kind = transport ? ` over ${transport.toUpperCase()}` : '';
  return Object.assign(new Error(`the server offers no gateway${kind}`), { code: 'no-gateway' });
}
