// What a running call measures, once per second, from getStats().

import { addressOf } from './ice.js';

export class Meter {
  #connection;
  #before = null;

  constructor(connection) {
    this.#connection = connection;
  }

  get connection() {
    return this.#connection;
  }

  // Rates in kbit/s, round trip in ms, loss in percent since the last reading; null for what is not known.
  async read() {
    const report = [...(await this.#connection.getStats()).values()];
    const now = this.#sums(report);
    const before = this.#before;
    this.#before = now;
    const pair = selectedPair(report);
    const find = (id) => report.find((entry) => entry.id === id);
    return {
      received: rate(before, now, 'bytesReceived'),
      sent: rate(before, now, 'bytesSent'),
      loss: loss(before, now),
      roundTrip: milliseconds(pair?.currentRoundTripTime),
      framesDecoded: now.framesDecoded,
      framesSent: now.framesSent,
      packetsLost: now.packetsLost,
      width: now.width,
      height: now.height,
      local: address(find(pair?.localCandidateId)),
      remote: address(find(pair?.remoteCandidateId)),
    };
  }

  #sums(report) {
    const sums = { at: performance.now(), bytesReceived: 0, bytesSent: 0, packetsReceived: 0, packetsLost: 0,
      framesDecoded: 0, framesSent: 0, width: 0, height: 0 };
    for (const entry of report) {
      if (entry.type === 'inbound-rtp') {
        sums.bytesReceived += entry.bytesReceived ?? 0;
        sums.packetsReceived += entry.packetsReceived ?? 0;
        sums.packetsLost += entry.packetsLost ?? 0;
        sums.framesDecoded += entry.framesDecoded ?? 0;
        sums.width ||= entry.frameWidth ?? 0;
        sums.height ||= entry.frameHeight ?? 0;
      } else if (entry.type === 'outbound-rtp') {
        sums.bytesSent += entry.bytesSent ?? 0;
        sums.framesSent += entry.framesSent ?? 0;
      }
    }
    return sums;
  }
}

function selectedPair(report) {
  const chosen = report.find((entry) => entry.type === 'transport')?.selectedCandidatePairId;
  return report.find((entry) => entry.id === chosen)
    ?? report.find((entry) => entry.type === 'candidate-pair' && entry.nominated && entry.state === 'succeeded');
}

function address(candidate) {
  if (!candidate) return null;
  const host = candidate.address ?? candidate.ip ?? '';
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${candidate.port}`,
    kind: candidate.candidateType,
    transport: candidate.relayProtocol ?? '',
    gateway: addressOf(candidate.url ?? ''),
  };
}

function rate(before, now, key) {
  if (!before || now.at <= before.at) return null;
  return Math.max(0, ((now[key] - before[key]) * 8) / (now.at - before.at));
}

function loss(before, now) {
  if (!before) return null;
  const lost = Math.max(0, now.packetsLost - before.packetsLost);
  const all = now.packetsReceived - before.packetsReceived + lost;
  return all > 0 ? (100 * lost) / all : null;
}

function milliseconds(seconds) {
  return seconds === undefined ? null : seconds * 1000;
}
