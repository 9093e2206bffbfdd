/**
 * Preloaded (NODE_OPTIONS) into every Node process of the editor during the e2e test: writes one JSON
 * line per process, and one per attempt to reach or to serve anything but loopback. It reports and
 * does not block, so that what the editor itself does stays as it is.
 */
"use strict";
const { appendFileSync } = require("node:fs");
const dgram = require("node:dgram");
const dns = require("node:dns");
const net = require("node:net");

const file = process.env.NARROWGAUGE_TEST_NETWORK_LOG;
const program = process.argv[1] ?? "";

function write(event, detail) {
  appendFileSync(file, `${JSON.stringify({ pid: process.pid, program, event, ...detail })}\n`);
}

const isLoopback = (host) =>
  host === undefined ||
  host === "" ||
  /^(localhost|127\.[\d.]+|::1|::ffff:127\.[\d.]+)$/.test(host);

function report(event, host) {
  if (!isLoopback(host)) write(event, { host, stack: new Error().stack });
}

if (file) {
  write("start", {});

  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    // net.connect() hands over its arguments already normalized, as one array.
    const first = Array.isArray(args[0]) ? args[0][0] : args[0];
    if (typeof first === "object" && first !== null) {
      if (!first.path) report("connect", first.host ?? "localhost");
    } else if (typeof first === "number") report("connect", args[1]);
    return connect.apply(this, args);
  };

  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    const first = args[0];
    if (typeof first === "object" && first !== null) {
      if (!first.path && !first.fd && first.port !== undefined)
        report("listen", first.host ?? "every interface");
    } else if (typeof first === "number")
      report("listen", typeof args[1] === "string" ? args[1] : "every interface");
    return listen.apply(this, args);
  };

  const send = dgram.Socket.prototype.send;
  dgram.Socket.prototype.send = function (...args) {
    report(
      "send",
      args.find((a, i) => i > 0 && typeof a === "string"),
    );
    return send.apply(this, args);
  };

  const lookup = dns.lookup;
  dns.lookup = function (host, ...rest) {
    report("lookup", host);
    return lookup.call(this, host, ...rest);
  };
}
