// ICE configurations: all the spellings there are of them, and what their URIs mean.

// The configuration for a peer connection, with only the URIs of `transport` ('udp', 'tcp' or '' for all).
export function peerConfiguration(received, transport) {
  const servers = (received?.iceServers ?? received?.ICEServers ?? []).map((server) => ({
    ...server,
    urls: [server.urls ?? server.url ?? []].flat().filter((uri) => !transport || transportOf(uri) === transport),
  }));
  const policy = String(received?.iceTransportPolicy ?? 'all').toLowerCase();
  return {
    iceServers: servers.filter((server) => server.urls.length > 0).map(({ url, ...server }) => server),
    iceTransportPolicy: policy === 'relay' ? 'relay' : 'all',
  };
}

// RFC 7065: `transport` defaults to UDP, and to TCP for `turns`.
export function transportOf(uri) {
  const [, scheme, query] = /^(\w+):[^?]*(?:\?(.*))?$/.exec(uri.toLowerCase()) ?? [];
  return new URLSearchParams(query).get('transport') ?? (scheme === 'turns' ? 'tcp' : 'udp');
}

// Host and port of a TURN URI.
export function addressOf(uri) {
  return uri.split('?')[0].replace(/^turns?:/i, '');
}

export function uris(configuration) {
  return configuration.iceServers.flatMap((server) => server.urls);
}

export function isRelay(candidate) {
  return candidate.type === 'relay' || / typ relay( |$)/.test(candidate.candidate);
}

// What a failed attempt to reach a gateway means, in words.
export function candidateProblem({ errorCode, errorText, url }) {
  const where = url ? ` at ${addressOf(url)}` : '';
  if (errorCode === 401) return `The gateway${where} did not accept the credentials (401 Unauthorized).`;
  if (errorCode === 701) return `The gateway${where} could not be reached.`;
  return `The gateway${where} refused an address (${errorCode}${errorText ? ` ${errorText}` : ''}).`;
}
