"""The time that hooks see: real time, or faster for tests that wait for time-outs.
It never goes back and never jumps when its speed changes."""

import time


class Clock:
    def __init__(self):
        self.speed = 1.0
        self._real = time.monotonic()
        self._seen = 0.0

    def now(self):
        """Seconds since this started, as hooks count them."""
        return self._seen + (time.monotonic() - self._real) * self.speed

    def run_at(self, speed):
        """From here on, a real second counts as this many."""
        self._seen, self._real = self.now(), time.monotonic()
        self.speed = speed
