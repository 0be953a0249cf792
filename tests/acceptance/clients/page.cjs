// What a browser page gives to the JavaScript of the document: where it came from, and `io`.
// A page stays open; this one is closed after an answer, so that the process ends.
const { io } = require("socket.io-client");

globalThis.location = new URL(process.env.PAGE);
globalThis.io = (...given) => {
  const socket = io(...given);
  socket.on("chunk", (data) => {
    if (data === "ENDOFMESSAGE" || data === "||AI ERROR||") {
      // Later, because the page's own listener comes after this one.
      setImmediate(() => socket.disconnect());
    }
  });
  return socket;
};
