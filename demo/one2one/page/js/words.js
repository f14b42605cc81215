// What the page says about each situation. `tone` is 'calm', 'busy', 'good' or 'bad'.

const say = (tone, headline, detail = '', advice = '') => ({ tone, headline, detail, advice });

export const words = {
  lineConnecting: () => say('busy', 'Connecting to the server'),
  lineLost: (seconds) =>
    say('bad', 'The server does not answer', `Trying again ${seconds > 1 ? `in ${seconds} seconds` : 'now'}.`),
  unregistered: () => say('calm', 'Not registered yet', 'Type a name and press Register.'),
  registering: (name) => say('busy', `Registering as ${name}`, 'The server asks the gateway for your credentials.'),
  registered: (name, gateways) =>
    say('good', `Registered as ${name}`, `${offered(gateways)} Type a name under Peer and press Call, or wait to be called.`),
  registrationFailed: (why) => say('bad', 'Not registered', sentence(why)),
  requesting: () =>
    say('busy', 'Waiting for camera and microphone', 'Your browser may ask you whether this page can use them.'),
  offering: (peer) => say('busy', `Calling ${peer}`, 'Preparing the call.'),
  ringing: (peer) => say('busy', `Ringing at ${peer}`, 'Waiting for an answer.'),
  incoming: (peer) => say('busy', `${peer} is calling`, 'Accept or decline the call.'),
  answering: (peer) => say('busy', `Answering ${peer}`, 'Preparing the call.'),
  connecting: (peer) => say('busy', `Connecting to ${peer}`, 'Looking for a path through the gateway.'),
  connected: (peer, leg) =>
    say('good', `Connected to ${peer}${leg?.transport ? ` over relay ${leg.transport.toUpperCase()}` : ''}`,
      leg?.gateway ? `This window reaches the gateway at ${leg.gateway}.` : 'Relayed by the gateway.'),
  interrupted: (peer) => say('busy', `Nothing heard from ${peer}`, 'Waiting for packets to come through again.'),
  restarting: (peer) => say('busy', `Looking for another path to ${peer}`, 'The first one failed. One more attempt.'),
  ended: (why) => say('calm', 'Call ended', sentence(why)),
  missed: (why) => say('calm', 'No call', sentence(why)),
  refused: (why) => say('bad', 'Call not taken', sentence(why)),
  failed: (code, why) => say('bad', FAILURES[code] ?? 'The call failed', sentence(why), ADVICE[code] ?? ''),
};

const FAILURES = {
  'no-media': 'No camera or microphone',
  'no-gateway': 'No gateway to call through',
  'no-relay-candidate': 'No relay candidate found',
  'ice-failed': 'ICE failed',
  'not-connected': 'The call never connected',
  'server-lost': 'The server was lost',
};

const ADVICE = {
  'no-media': 'Under Picture you can choose a test picture, which needs neither.',
  'no-gateway': 'Choose another transport, or look at the gateways: stunnerctl config.',
  'no-relay-candidate':
    'Compare the iceConfiguration in the console with stunnerctl running-config: address, port and password have to agree.',
  'ice-failed':
    'Look for "permission denied" in the gateway\u2019s log, and try another transport in the form.',
  'not-connected': 'The other window may know more: it found no path through the gateway, or somebody was impatient.',
};

export const relayHint =
  'Hint: a relay candidate names the address the gateway answers on in your name, often the private address of a pod. '
  + 'That is fine: the other window reaches it from inside the gateway.';

function offered(gateways) {
  if (gateways.length === 0) return 'The server offers no gateway.';
  return `${gateways.length === 1 ? 'One gateway' : `${gateways.length} gateways`}: ${gateways.join(', ')}.`;
}

// First letter large, full stop at the end.
function sentence(text) {
  const trimmed = String(text ?? '').trim();
  if (!trimmed) return '';
  const closed = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return closed[0].toUpperCase() + closed.slice(1);
}
