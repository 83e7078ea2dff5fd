/**
 * Passkeys in the browser: each form with data-passkey runs one ceremony (login, register, add)
 * against the server and then goes to data-next. Speaks HTTP only; no inline script needed.
 */
(() => {
  const say = (text) => {
    const status = document.getElementById("status");
    if (status) status.textContent = text;
  };

  const post = async (path, body, csrf) => {
    const headers = { "Content-Type": "application/json" };
    if (csrf) headers["X-CSRF-Token"] = csrf;
    const response = await fetch(path, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
    const reply = await response.json();
    if (!response.ok) {
      throw new Error(reply.hint ? `${reply.message} ${reply.hint}` : reply.message);
    }
    return reply;
  };

  const create = async (options) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    const credential = await navigator.credentials.create({ publicKey });
    return credential.toJSON();
  };

  const get = async (options) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = await navigator.credentials.get({ publicKey });
    return credential.toJSON();
  };

  const ceremonies = {
    login: { path: "/webauthn/login", run: get, body: () => ({}) },
    register: {
      path: "/webauthn/register",
      run: create,
      body: (form) => ({ username: form.get("username") }),
    },
    add: { path: "/webauthn/passkeys", run: create, body: () => ({}) },
  };

  const words = {
    NotAllowedError: "The passkey was not used: cancelled, timed out, or none fits.",
    InvalidStateError: "This device already holds a passkey of the account.",
    SecurityError: "Passkeys do not work at this address; open the service at its own origin.",
  };

  const run = async (form) => {
    const { path, run, body } = ceremonies[form.dataset.passkey];
    const fields = new FormData(form);
    const csrf = form.dataset.csrf;
    const { challenge_id, options } = await post(`${path}/options`, body(fields), csrf);
    say("Follow your device's instructions.");
    const response = await run(options);
    const answer = { challenge_id, response };
    const name = fields.get("name");
    if (name) answer.name = name;
    await post(`${path}/verify`, answer, csrf);
    say("Done.");
    location.assign(form.dataset.next || "/manage");
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!globalThis.PublicKeyCredential) {
        say("This browser has no passkeys.");
        return;
      }
      const button = form.querySelector("button");
      button.disabled = true;
      say("One moment …");
      run(form)
        .catch((error) => say(words[error.name] ?? error.message))
        .finally(() => button.disabled = false);
    });
  }
})();
