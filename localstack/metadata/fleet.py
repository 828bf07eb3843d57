"""The instances that are served, each by a listener of its own."""

import threading

from face import face_of
from instance import Instance
from server import Server


def address(text):
    """127.0.0.1:80 as the pair that sockets take."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ValueError(f"{text} is not ADDRESS:PORT")
    return host, int(port)


class Fleet:
    def __init__(self):
        self._lock = threading.Lock()
        self._served = {}

    def add(self, instance_id, listen="127.0.0.1:0", zone="us-east-1a", role=None):
        """Serves an instance; returns its URL. OSError when it can't listen there,
        ValueError when there is one of that id."""
        with self._lock:
            if instance_id in self._served:
                raise ValueError(f"{instance_id} is served already, at {self._served[instance_id][1].url}")
            instance = Instance(instance_id, zone, role)
            try:
                server = Server(address(listen), face_of(instance))
            except OSError as error:
                raise OSError(f"cannot listen on {listen} for {instance_id}: {error}") from error
            server.start()
            self._served[instance_id] = (instance, server)
            return server.url

    def remove(self, instance_id):
        """Whether it was there. Its address refuses connections from here on."""
        with self._lock:
            _, server = self._served.pop(instance_id, (None, None))
        if server:
            server.close()
        return server is not None

    def find(self, instance_id):
        with self._lock:
            return self._served.get(instance_id, (None, None))[0]

    def urls(self):
        with self._lock:
            return {instance_id: server.url for instance_id, (_, server) in self._served.items()}

    def close(self):
        for instance_id in self.urls():
            self.remove(instance_id)
