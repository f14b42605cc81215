// One peer connection, from the first offer to the end. Speaks no protocol: `handlers` are told what to pass on.
//
// handlers: localCandidate(candidate), remoteStream(stream), restartOffer(sdp), state(name, detail)
// states:   'connecting', 'connected', 'interrupted', 'restarting', and once at the end 'failed' with a reason:
//           { code: 'no-relay-candidate' | 'ice-failed' | 'media-failed', text }

import { candidateProblem, isRelay } from './ice.js';

const CONNECT_DEADLINE = 45_000;
const RESTART_PATIENCE = 20_000;
// A browser that has run out of candidates says so at once, even if the next one is on its way.
const SETTLED = 2_000;

export const ICE_FAILED =
  'ICE failed: both windows have an address, but no packet came through between them. '
  + 'The gateway may lack a route to itself, or a firewall is in the way.';

export class Call {
  #connection;
  #handlers;
  #isCaller;
  #held = [];       // local candidates from before the description was sent
  #early = [];      // remote candidates from before the description was set
  #relayed = 0;
  #problems = new Set();
  #restarts = 0;
  #makingOffer = false;
  #ignoring = false;
  #deadline = 0;
  #settling = 0;
  #state = '';

  constructor(configuration, isCaller, stream, handlers) {
    this.#handlers = handlers;
    this.#isCaller = isCaller;
    this.#connection = new RTCPeerConnection(configuration);
    for (const track of stream.getTracks()) this.#connection.addTrack(track, stream);
    this.#connection.onicecandidate = ({ candidate }) => candidate && this.#gathered(candidate);
    this.#connection.onicecandidateerror = (event) => this.#problems.add(candidateProblem(event));
    this.#connection.onicegatheringstatechange = () => this.#checkGathering();
    this.#connection.onconnectionstatechange = () => this.#checkConnection();
    this.#connection.ontrack = ({ streams }) => this.#handlers.remoteStream(streams[0]);
  }

  get connection() {
    return this.#connection;
  }

  // Whether this side has seen for itself that nothing comes through.
  get isFailing() {
    return this.#state === 'restarting' || this.#connection.connectionState === 'failed';
  }

  async offer() {
    await this.#connection.setLocalDescription(await this.#connection.createOffer());
    return this.#connection.localDescription.sdp;
  }

  async answer(sdp) {
    await this.#connection.setRemoteDescription({ type: 'offer', sdp });
    await this.#flush();
    await this.#connection.setLocalDescription();
    return this.#connection.localDescription.sdp;
  }

  async answered(sdp) {
    await this.#connection.setRemoteDescription({ type: 'answer', sdp });
    await this.#flush();
  }

  // The description is on its way: candidates may follow it.
  release() {
    const held = this.#held;
    this.#held = null;
    for (const candidate of held ?? []) this.#handlers.localCandidate(candidate);
  }

  // Both sides have agreed: from now on the connection has to come up.
  begin() {
    this.#enter('connecting');
    this.#await(CONNECT_DEADLINE);
    this.#checkConnection();
  }

  async remoteCandidate(candidate) {
    if (!this.#connection.remoteDescription) return void this.#early.push(candidate);
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (error) {
      // One of an offer we did not take, or of a description that is history.
      if (!this.#ignoring) console.warn(`A candidate was of no use: ${error.message}`);
    }
  }

  // Looks for new paths, with fresh credentials if there are any.
  async restart(configuration) {
    this.#makingOffer = true;
    this.#countRestart();
    try {
      if (configuration) this.#connection.setConfiguration(configuration);
      this.#relayed = 0;
      this.#problems.clear();
      this.#connection.restartIce();
      await this.#connection.setLocalDescription();
      this.#handlers.restartOffer(this.#connection.localDescription.sdp);
    } finally {
      this.#makingOffer = false;
    }
  }

  // The other side looks for new paths. Returns the answer, or null if both sides did so at once and ours counts.
  async restarted(sdp, configuration) {
    const collides = this.#makingOffer || this.#connection.signalingState !== 'stable';
    this.#ignoring = collides && this.#isCaller;
    if (this.#ignoring) return null;
    this.#countRestart();
    if (configuration) this.#connection.setConfiguration(configuration);
    return this.answer(sdp);
  }

  close() {
    clearTimeout(this.#deadline);
    clearTimeout(this.#settling);
    this.#state = 'closed';
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #gathered(candidate) {
    if (isRelay(candidate)) this.#relayed += 1;
    if (this.#held) this.#held.push(candidate);
    else this.#handlers.localCandidate(candidate);
  }

  async #flush() {
    const early = this.#early;
    this.#early = [];
    for (const candidate of early) await this.remoteCandidate(candidate);
  }

  #checkGathering() {
    const { iceGatheringState, connectionState } = this.#connection;
    if (iceGatheringState !== 'complete' || this.#relayed > 0 || connectionState === 'connected') return;
    const why = [...this.#problems].join(' ') || 'The gateway gave this window no address to be reached at.';
    this.#fail('no-relay-candidate', `No relay candidate was found. ${why}`);
  }

  #checkConnection() {
    clearTimeout(this.#settling);
    switch (this.#connection.connectionState) {
      case 'connected':
        clearTimeout(this.#deadline);
        this.#restarts = 0;
        return this.#enter('connected');
      case 'disconnected':
        return this.#enter('interrupted');
      case 'failed':
        this.#settling = setTimeout(() => this.#lost(), SETTLED);
    }
  }

  // One more attempt; the caller makes it, the callee waits for it.
  #lost() {
    if (this.#restarts > 0) return this.#failIce();
    this.#enter('restarting');
    this.#await(RESTART_PATIENCE);
  }

  // A restart of a call that works, to renew its credentials, is none of the attempts to save it.
  #countRestart() {
    if (this.#connection.connectionState !== 'connected') this.#restarts += 1;
  }

  #await(patience) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#failIce(), patience);
  }

  #failIce() {
    this.#fail('ice-failed', ICE_FAILED);
  }

  #fail(code, text) {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    clearTimeout(this.#deadline);
    this.#enter('failed', { code, text });
  }

  #enter(state, detail) {
    if (this.#state === state || this.#state === 'failed' || this.#state === 'closed') return;
    this.#state = state;
    this.#handlers.state(state, detail);
  }
}
