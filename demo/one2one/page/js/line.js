// The WebSocket to the server: JSON in, JSON out, and back again after it was lost.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

export class Line {
  #socket = null;
  #pause = FIRST_PAUSE;
  #timer = 0;
  #handlers;
  #log;

  // `handlers`: `up()`, `down(pause)` with the milliseconds until the next attempt, `message(object)`.
  constructor(log, handlers) {
    this.#log = log;
    this.#handlers = handlers;
    addEventListener('online', () => this.#retryNow());
    document.addEventListener('visibilitychange', () => document.hidden || this.#retryNow());
  }

  connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(`wss://${location.host}/one2one`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#pause = FIRST_PAUSE;
      this.#handlers.up();
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost();
  }

  get isUp() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (!this.isUp) return false;
    const frame = JSON.stringify(message);
    this.#log.sent(frame);
    this.#socket.send(frame);
    return true;
  }

  // The server owes an answer: the connection is dead, whatever the browser believes.
  giveUp() {
    this.#socket.onclose = null;
    this.#socket.onmessage = null;
    this.#socket.close();
    this.#lost();
  }

  #receive(frame) {
    this.#log.received(frame);
    let message;
    try {
      message = JSON.parse(frame);
    } catch {
      return this.#log.problem('The last message is not JSON.');
    }
    this.#handlers.message(message);
  }

  #lost() {
    // A little chance, so that a restarted server does not meet all its pages at once.
    const pause = Math.round(this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    this.#timer = setTimeout(() => this.connect(), pause);
    this.#handlers.down(pause);
  }

  #retryNow() {
    if (this.#timer) this.connect();
  }
}
