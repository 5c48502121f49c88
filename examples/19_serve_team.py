"""Serve a trained team over HTTP, in a process that cannot import torch, and measure what a request takes."""

import http.client
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import DEVNULL, PIPE, Popen

import masoft


class Handler(BaseHTTPRequestHandler):
    """POST {"observations": {agent: numbers}, "action_masks": {...}} -> {"actions": {...}}, or 400 with the reason."""

    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    team: masoft.deploy.DeployedTeam  # one for all threads

    def do_POST(self) -> None:
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            actions = self.team.predict(asked["observations"], action_masks=asked.get("action_masks"))
            status, answer = 200, {"actions": {agent: action.tolist() for agent, action in actions.items()}}
        except (masoft.errors.MasoftError, ValueError, KeyError, TypeError) as error:
            status, answer = 400, {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(folder: str) -> None:
    """Answer until the process is ended; prints the port first."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # importing it fails from here on
    Handler.team = masoft.deploy.load(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


def main(steps: int = 20_000, requests: int = 500) -> dict[str, float]:
    """Train, export, serve; median and 99th percentile of a request on one connection, in milliseconds."""
    masoft.HASAC("mpe/simple_speaker_listener_v4", seed=0, train_freq=4).learn(steps).export("a")
    with Popen([sys.executable, __file__, "serve", "a"], stdout=PIPE, stderr=DEVNULL, text=True) as process:
        client, times = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline())), []
        for _ in range(requests):
            began = time.perf_counter()
            client.request("POST", "/", json.dumps({"observations": {"listener_0": [0.0] * 11}}))
            assert "listener_0" in json.loads(client.getresponse().read())["actions"]
            times.append(1_000 * (time.perf_counter() - began))
        client.close()
        process.kill()
    times.sort()
    return {"median": times[len(times) // 2], "99th percentile": times[int(0.99 * len(times))]}


if __name__ == "__main__":
    serve(sys.argv[2]) if sys.argv[1:2] == ["serve"] else print(main())
