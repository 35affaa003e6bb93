// A store of the S3 protocol for tests: strict where real ones are, and able to fail as they do. It
// checks every signature with code of its own, keeps objects in memory, and refuses what it does not
// know. `faults` holds what goes wrong next: {when(request), times, deed}. With `versioning` ('Enabled')
// it keeps what was deleted or replaced; `denies` names what its keys must not do ('versions',
// 'versioning', 'uploads', 'deleteVersion'), `lacks` what it does not know; `lock(key)` what it keeps
// ({until, hold}).
import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const escapeXml = (text) => text.replace(/[&<>"']/g, (one) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' })[one]);
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

class Refusal extends Error {
  constructor(status, code) { super(code); Object.assign(this, { status, code }); }
}

// What the client must have computed, from the request as it came over the wire.
function expectedSignature(request, url, secret, { scope, signedHeaders, time, payload }) {
  const query = [...url.rawQuery].map(([name, value]) => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0)).map(([name, value]) => `${name}=${value}`).join('&');
  const headers = signedHeaders.map((name) => `${name}:${String(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}\n`).join('');
  const canonical = [request.method, url.rawPath, query, headers, signedHeaders.join(';'), payload].join('\n');
  const text = ['AWS4-HMAC-SHA256', time, scope, hash(canonical)].join('\n');
  const key = scope.split('/').reduce((last, part) => hmac(last, part), `AWS4${secret}`);
  return hmac(key, text).toString('hex');
}

function readTarget(target) {
  const at = target.indexOf('?');
  const rawPath = at < 0 ? target : target.slice(0, at);
  const rawQuery = at < 0 ? [] : target.slice(at + 1).split('&').map((pair) => pair.split('=')).map(([name, value = '']) => [decodeURIComponent(name), decodeURIComponent(value)]);
  return { rawPath, rawQuery, path: decodeURIComponent(rawPath), query: Object.fromEntries(rawQuery) };
}

export async function startStore({ bucket = 'warehouse', accessKey = 'AKIDTESTTESTTEST', secret = 'test/secret+of/40chars', token = null, region = 'eu-test-1', skewMs = 0, ignoresConditions = false, versioning = null } = {}) {
  const objects = new Map(); // key -> {bytes, etag, meta}
  const past = new Map(); // key -> [{id, isMarker, bytes, etag, meta}], the newest first
  const uploads = new Map();
  const store = { versioning, past, denies: new Set(), lacks: new Set(), lock: () => null, bucket, accessKey, secret, token, region, skewMs, ignoresConditions, objects, uploads, faults: [], seen: [], refusals: [], connections: 0 };

  function authenticate(request, url, body) {
    const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(request.headers.authorization ?? '');
    if (!match) throw new Refusal(403, 'AccessDenied');
    const [, id, scope, names, signature] = match;
    const time = request.headers['x-amz-date'] ?? '';
    const payload = request.headers['x-amz-content-sha256'];
    if (id !== store.accessKey) throw new Refusal(403, 'InvalidAccessKeyId');
    if (scope !== `${time.slice(0, 8)}/${store.region}/s3/aws4_request`) throw new Refusal(400, 'AuthorizationHeaderMalformed');
    const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
    if (!parts) throw new Refusal(403, 'AccessDenied');
    const at = Date.UTC(parts[1], parts[2] - 1, parts[3], parts[4], parts[5], parts[6]);
    if (Math.abs(at - (Date.now() + store.skewMs)) > 15 * 60000) throw new Refusal(403, 'RequestTimeTooSkewed');
    const signedHeaders = names.split(';');
    // Everything that decides what is done must be signed.
    for (const name of Object.keys(request.headers)) {
      if ((name === 'host' || name.startsWith('x-amz-') || name === 'if-none-match' || name === 'if-match' || name === 'range') && !signedHeaders.includes(name)) throw new Refusal(403, 'AccessDenied');
    }
    if (!payload || payload !== hash(body)) throw new Refusal(400, 'XAmzContentSHA256Mismatch');
    const expected = expectedSignature(request, url, store.secret, { scope, signedHeaders, time, payload });
    if (!timingSafeEqual(Buffer.from(expected), Buffer.from(signature))) throw new Refusal(403, 'SignatureDoesNotMatch');
    if ((request.headers['x-amz-security-token'] ?? null) !== store.token) throw new Refusal(403, store.token ? 'ExpiredToken' : 'InvalidToken');
  }

  const etagOf = (bytes) => `"${createHash('md5').update(bytes).digest('hex')}"`;
  const metaOf = (request) => Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith('x-amz-meta-')));
  const checkCondition = (request, key) => {
    if (request.headers['if-none-match'] === '*' && objects.has(key) && !store.ignoresConditions) throw new Refusal(412, 'PreconditionFailed');
  };
  const check = (what) => {
    if (store.lacks.has(what)) throw new Refusal(501, 'NotImplemented');
    if (store.denies.has(what)) throw new Refusal(403, 'AccessDenied');
  };
  const versionsOf = (key) => past.get(key) ?? (objects.has(key) ? [{ id: 'null', ...objects.get(key) }] : []);
  function add(key, version) {
    if (store.versioning) past.set(key, [{ id: randomUUID(), ...version }, ...versionsOf(key)]);
    if (version.isMarker) objects.delete(key);
    else objects.set(key, version);
  }
  function removeVersion(key, id) {
    check('deleteVersion');
    const versions = versionsOf(key);
    const found = versions.find((one) => one.id === id);
    if (found && !found.isMarker && store.lock(key)) throw new Refusal(403, 'AccessDenied');
    const left = versions.filter((one) => one.id !== id);
    if (past.has(key)) past.set(key, left);
    if (!left.length) past.delete(key);
    if (!left.length || left[0].isMarker) objects.delete(key);
    else objects.set(key, left[0]);
  }
  const find = (key, id) => {
    if (id) {
      const version = versionsOf(key).find((one) => one.id === id);
      if (!version) throw new Refusal(404, 'NoSuchVersion');
      if (version.isMarker) throw new Refusal(405, 'MethodNotAllowed');
      return version;
    }
    if (!objects.has(key)) throw new Refusal(404, 'NoSuchKey');
    return objects.get(key);
  };

  function list(url) {
    const { prefix = '', delimiter = '', 'continuation-token': token_ = '', 'max-keys': max = '1000' } = url.query;
    if (url.query['list-type'] !== '2' || url.query['encoding-type'] !== 'url') throw new Refusal(501, 'NotImplemented');
    const limit = Math.min(Number(max), store.pageSize ?? 1000);
    const names = new Map();
    for (const key of [...objects.keys()].sort()) {
      if (!key.startsWith(prefix)) continue;
      const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
      names.set(end < 0 ? key : key.slice(0, end + 1), end >= 0);
    }
    const all = [...names].filter(([name]) => name > token_);
    const page = all.slice(0, limit);
    const more = all.length > page.length;
    return `<?xml version="1.0"?><ListBucketResult><Name>${bucket}</Name><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${
      more ? `<NextContinuationToken>${escapeXml(page.at(-1)[0])}</NextContinuationToken>` : ''}${
      page.map(([name, isFolder]) => (isFolder ? `<CommonPrefixes><Prefix>${plain(name)}</Prefix></CommonPrefixes>`
        : `<Contents><Key>${plain(name)}</Key><Size>${objects.get(name).bytes.length}</Size></Contents>`)).join('')}</ListBucketResult>`;
  }

  const plain = (text) => encode(text).replaceAll('%2F', '/').replaceAll('%20', '+');
  // A page of what `all` (sorted) has behind the two markers.
  function pageOf(url, all, idMarker) {
    const { 'key-marker': key = '', [idMarker]: id = '' } = url.query;
    const from = key ? all.findIndex((one) => one.key === key && (!id || one.id === id)) + 1 : 0;
    const page = all.slice(from, from + (store.pageSize ?? 1000));
    return { page, last: from + page.length < all.length ? page.at(-1) : null };
  }
  function listVersions(url) {
    check('versions');
    if (url.query['encoding-type'] !== 'url') throw new Refusal(501, 'NotImplemented');
    const { prefix = '' } = url.query;
    const keys = [...new Set([...objects.keys(), ...past.keys()])].filter((key) => key.startsWith(prefix)).sort();
    const { page, last } = pageOf(url, keys.flatMap((key) => versionsOf(key).map((one, at) => ({ key, isLatest: at === 0, ...one }))), 'version-id-marker');
    const next = last ? `<NextKeyMarker>${plain(last.key)}</NextKeyMarker><NextVersionIdMarker>${last.id}</NextVersionIdMarker>` : '';
    return `<?xml version="1.0"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>${Boolean(last)}</IsTruncated>${next}${page.map(({ key, id, isLatest, isMarker, bytes }) => {
      const tag = isMarker ? 'DeleteMarker' : 'Version';
      return `<${tag}><Key>${plain(key)}</Key><VersionId>${id}</VersionId><IsLatest>${isLatest}</IsLatest>${isMarker ? '' : `<Size>${bytes.length}</Size>`}</${tag}>`;
    }).join('')}</ListVersionsResult>`;
  }
  function listUploads(url) {
    check('uploads');
    if (url.query['encoding-type'] !== 'url') throw new Refusal(501, 'NotImplemented');
    const { prefix = '' } = url.query;
    const all = [...uploads].map(([id, { key }]) => ({ id, key })).filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id < b.id ? -1 : 1));
    const { page, last } = pageOf(url, all, 'upload-id-marker');
    const next = last ? `<NextKeyMarker>${plain(last.key)}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>` : '';
    return `<?xml version="1.0"?><ListMultipartUploadsResult><IsTruncated>${Boolean(last)}</IsTruncated>${next}${
      page.map(({ key, id }) => `<Upload><Key>${plain(key)}</Key><UploadId>${id}</UploadId></Upload>`).join('')}</ListMultipartUploadsResult>`;
  }
  function tellVersioning() {
    check('versioning');
    return `<?xml version="1.0"?><VersioningConfiguration>${store.versioning ? `<Status>${store.versioning}</Status>` : ''}</VersioningConfiguration>`;
  }

  function complete(request, key, id, body) {
    const upload = uploads.get(id);
    if (!upload || upload.key !== key) throw new Refusal(404, 'NoSuchUpload');
    const parts = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]*)<\/ETag>/g)].map(([, number, etag]) => [Number(number), etag]);
    if (!parts.length) throw new Refusal(400, 'MalformedXML');
    parts.forEach(([number, etag], at) => {
      const part = upload.parts.get(number);
      if (number !== at + 1 || !part || etagOf(part) !== etag.replaceAll('&quot;', '"')) throw new Refusal(400, 'InvalidPart');
      if (at + 1 < parts.length && part.length < 5 << 20) throw new Refusal(400, 'EntityTooSmall');
    });
    checkCondition(request, key);
    const bytes = Buffer.concat(parts.map(([number]) => upload.parts.get(number)));
    add(key, { bytes, etag: `"${hash(bytes).slice(0, 32)}-${parts.length}"`, meta: upload.meta });
    uploads.delete(id);
    return { body: '<CompleteMultipartUploadResult></CompleteMultipartUploadResult>' };
  }

  function copy(request, key) {
    const source = decodeURIComponent(request.headers['x-amz-copy-source']).replace(/^\//, '');
    if (!source.startsWith(`${bucket}/`)) throw new Refusal(404, 'NoSuchBucket');
    const { bytes, etag, meta } = find(source.slice(bucket.length + 1));
    add(key, { bytes, etag, meta });
    return { body: '<CopyObjectResult></CopyObjectResult>' };
  }

  function get(request, key, id) {
    const object = find(key, id);
    const lock = request.method === 'HEAD' ? store.lock(key) : null;
    const headers = { ...(lock?.until && { 'x-amz-object-lock-mode': 'COMPLIANCE', 'x-amz-object-lock-retain-until-date': lock.until }), ...(lock?.hold && { 'x-amz-object-lock-legal-hold': 'ON' }), ...object.meta, ETag: object.etag, 'Accept-Ranges': 'bytes' };
    if (request.headers['if-match'] && request.headers['if-match'] !== object.etag) throw new Refusal(412, 'PreconditionFailed');
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (!range) return { headers, body: object.bytes };
    const from = Number(range[1]);
    if (from >= object.bytes.length) throw new Refusal(416, 'InvalidRange');
    const until = range[2] ? Math.min(Number(range[2]) + 1, object.bytes.length) : object.bytes.length;
    return { status: 206, headers: { ...headers, 'Content-Range': `bytes ${from}-${until - 1}/${object.bytes.length}` }, body: object.bytes.subarray(from, until) };
  }

  function act(request, url, body) {
    const [, name, ...rest] = url.path.split('/');
    const key = rest.join('/');
    if (name !== bucket || store.isGone) throw new Refusal(404, 'NoSuchBucket');
    const { method } = request;
    if (!key) {
      if (method === 'GET' && 'versions' in url.query) return { body: listVersions(url) };
      if (method === 'GET' && 'versioning' in url.query) return { body: tellVersioning() };
      if (method === 'GET' && 'uploads' in url.query) return { body: listUploads(url) };
      if (method === 'GET') return { body: list(url) };
      throw new Refusal(501, 'NotImplemented');
    }
    if (method === 'POST' && 'uploads' in url.query) {
      const id = randomUUID();
      uploads.set(id, { key, parts: new Map(), meta: metaOf(request) });
      return { body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>` };
    }
    if (method === 'POST' && url.query.uploadId) return complete(request, key, url.query.uploadId, body);
    if (method === 'PUT' && url.query.uploadId) {
      const upload = uploads.get(url.query.uploadId);
      if (!upload) throw new Refusal(404, 'NoSuchUpload');
      upload.parts.set(Number(url.query.partNumber), body);
      return { headers: { ETag: etagOf(body) } };
    }
    if (method === 'PUT' && request.headers['x-amz-copy-source']) return copy(request, key);
    if (method === 'PUT') {
      checkCondition(request, key);
      add(key, { bytes: body, etag: etagOf(body), meta: metaOf(request) });
      return { headers: { ETag: etagOf(body) } };
    }
    if (method === 'GET' || method === 'HEAD') return get(request, key, url.query.versionId);
    if (method === 'DELETE' && url.query.uploadId) return { status: uploads.delete(url.query.uploadId) ? 204 : 404 };
    if (method === 'DELETE' && url.query.versionId) removeVersion(key, url.query.versionId);
    else if (method === 'DELETE' && store.versioning) add(key, { isMarker: true });
    else if (method === 'DELETE') objects.delete(key);
    if (method === 'DELETE') return { status: 204 };
    throw new Refusal(405, 'MethodNotAllowed');
  }

  function answer(request, response, { status = 200, headers = {}, body = '' }) {
    const bytes = Buffer.from(body);
    response.writeHead(status, { Date: new Date(Date.now() + store.skewMs).toUTCString(), 'Content-Length': bytes.length, ...headers });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }
  const refuse = (request, response, { status, code }) => {
    store.refusals.push(`${request.method} ${request.url.split('?')[0]} ${status} ${code}`);
    answer(request, response, { status, headers: { 'Content-Type': 'application/xml' }, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>` });
  };

  // {status, code}: refused before it is done; hangUp: the connection ends before it is done;
  // doneThenHangUp: after; truncate: a part of the body; delayMs; corrupt: other bytes.
  function takeFault(request, url) {
    const fault = store.faults.find((one) => one.times > 0 && one.when(request, url));
    if (fault) { fault.times -= 1; fault.struck = (fault.struck ?? 0) + 1; }
    return fault?.deed;
  }

  const server = createServer((request, response) => {
    const pieces = [];
    request.on('error', () => {});
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', async () => {
      const body = Buffer.concat(pieces);
      const url = readTarget(request.url);
      store.seen.push(`${request.method} ${url.path}`);
      const deed = takeFault(request, url);
      try {
        if (deed?.delayMs) await new Promise((resolve) => { setTimeout(resolve, deed.delayMs); });
        if (deed?.hangUp) return request.socket.destroy();
        if (deed?.status) return refuse(request, response, deed);
        authenticate(request, url, body);
        const result = act(request, url, body);
        if (deed?.doneThenHangUp) return request.socket.destroy();
        if (deed?.doneThen) return refuse(request, response, deed.doneThen);
        if (deed?.corrupt) result.body = Buffer.from(result.body).map((byte, at) => (at === 7 ? byte ^ 1 : byte));
        if (deed?.truncate) {
          const bytes = Buffer.from(result.body);
          response.writeHead(result.status ?? 200, { 'Content-Length': bytes.length, ...result.headers });
          return response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => setTimeout(() => request.socket.destroy(), 20));
        }
        return answer(request, response, result);
      } catch (error) {
        if (error instanceof Refusal) return refuse(request, response, error);
        return refuse(request, response, { status: 500, code: 'InternalError' });
      }
    });
  });
  server.on('connection', () => { store.connections += 1; });
  server.keepAliveTimeout = 60000;
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  store.endpoint = `http://127.0.0.1:${server.address().port}`;
  store.port = server.address().port;
  store.stop = () => new Promise((resolve) => { server.closeAllConnections?.(); server.close(resolve); });
  store.secretsText = (id = 'warehouse') => `[${id}]\naccess_key_id = "${store.accessKey}"\nsecret_access_key = "${store.secret}"\n${store.token ? `session_token = "${store.token}"\n` : ''}`;
  return store;
}
