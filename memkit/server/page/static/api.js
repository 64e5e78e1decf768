// Requests to the API of the page. The token is in the fragment of the first address; it is taken
// out of the address at once, kept until the tab is closed, and sent as a Bearer token only.

const KEY = `memkit token ${location.pathname}`;
const given = /^#token=(.+)$/.exec(location.hash);
if (given) {
  sessionStorage.setItem(KEY, given[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const useToken = (token) => sessionStorage.setItem(KEY, token);

/** Send a request; return the response. Raises ApiError with the sentence of the server. */
async function send(path, { method = "GET", query = {}, body, signal } = {}) {
  const url = new URL(`api/${path}`, document.baseURI);
  url.search = location.search; // an app may ask there whose memory is meant
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  const isFile = body instanceof Blob;
  if (body !== undefined && !isFile) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, {
      method, headers, signal, body: body === undefined || isFile ? body : JSON.stringify(body),
      credentials: "same-origin", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("memkit does not answer; is `memkit page` still running?", 0);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const sentence = answer.error?.message ?? answer.error ?? answer.detail; // of an app around the page
  throw new ApiError(sentence ?? `the server answered with status ${response.status}`, response.status);
}

export const get = async (path, query, signal) => (await send(path, { query, signal })).json();
export const post = async (path, body, query) =>
  (await send(path, { method: "POST", body, query })).json();
export const getFile = async (path) => (await send(path)).blob();

/** Let the browser save a blob under a name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
