// What textual.js finds when it starts: where its socket is, and that the page opens no other page.
"use strict";

const terminal = document.querySelector(".textual-terminal");
const socket = new URL("socket", window.location.href);
socket.protocol = "ws:";
socket.search = "";
socket.hash = "";
// It also takes orders from the address (?ping=, ?delay=); this page has none for it.
window.history.replaceState(null, "", window.location.pathname);
terminal.dataset.sessionWebsocketUrl = socket.href;

// textual.js makes links of addresses in the text. What a model wrote is no place to go to.
window.open = () => null;

for (const button of document.querySelectorAll("button")) {
  button.addEventListener("click", () => window.location.reload());
}

// The terminal measures its font once, when everything has loaded, so the font must be there by then.
document.fonts.load("15px 'Roboto Mono'");

// Keys go to the dashboard without a click, once it is connected and whenever the window is returned to.
const takeKeys = () => {
  if (terminal.classList.contains("-connected")) {
    terminal.querySelector(".xterm-helper-textarea").focus();
  }
};
new MutationObserver(takeKeys).observe(terminal, { attributeFilter: ["class"] });
window.addEventListener("focus", takeKeys);
