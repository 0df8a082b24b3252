// The shop in Node, without packages: node server.js HOST PORT
const http = require("http");

const items = Array.from({ length: 100 }, (_, index) => ({ id: index + 1, name: `item ${index + 1}` }));

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

function route(request, response, body) {
  const item = /^\/items\/(\d+)$/.exec(request.url);
  if (request.url === "/health") return answer(response, 200, { ok: true });
  if (request.url === "/login") return answer(response, 200, { token: `token of ${JSON.parse(body).user}` });
  if (item) return answer(response, 200, items[item[1] - 1]);
  if (!(request.headers.authorization || "").startsWith("Bearer token of ")) {
    return answer(response, 401, { error: "log in first" });
  }
  return answer(response, 201, { id: 101, name: JSON.parse(body).name });
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => route(request, response, Buffer.concat(parts).toString()));
});
server.listen({ host: process.argv[2], port: Number(process.argv[3]), backlog: 4096 });
process.on("SIGTERM", () => process.exit(0));
