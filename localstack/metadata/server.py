"""What both faces have in common: an HTTP server in a thread of its own."""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A connection that says nothing for this long is closed.
IDLE_SECONDS = 60
# Nobody has more to say to either face.
BODY_LIMIT_BYTES = 1_000_000


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Listeners of tests come and go fast on the same port.
    allow_reuse_address = True

    def __init__(self, address, handler):
        self._lock = threading.Lock()
        self._connections = set()
        super().__init__(address, handler)
        host, port = self.server_address[:2]
        self.url = f"http://{host}:{port}"

    def start(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=self.url, daemon=True).start()

    def close(self):
        """Also the connections that clients keep: nobody answers any more."""
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # The client was faster.

    def handle_error(self, request, client):
        """A client that is gone is nobody's trouble."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client)

    def process_request(self, connection, client):
        with self._lock:
            self._connections.add(connection)
        super().process_request(connection, client)

    def shutdown_request(self, connection):
        with self._lock:
            self._connections.discard(connection)
        super().shutdown_request(connection)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # An answer goes out in one piece.
    wbufsize = -1

    def body(self):
        """The request's body; None when it is longer than anything should be."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT_BYTES:
            self.close_connection = True
            return None
        return self.rfile.read(length)

    def answer(self, status, text="", kind="text/plain", **headers):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def version_string(self):
        return "EC2ws"

    def log_message(self, *_):
        """Silent: tests ask for what they want to know."""
