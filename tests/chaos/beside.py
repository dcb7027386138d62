"""Programs that run beside the tests, one after the other: most tests only wait for something.

They begin with the session; the test of each gives its verdict when all others are through.
"""

import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))


class Beside:
    def __init__(self, commands):
        """commands: name of the program -> (arguments, seconds it may take)."""
        self.commands = commands
        self.codes = {}
        self.ended = {name: threading.Event() for name in commands}
        self.said = {name: tempfile.TemporaryFile() for name in commands}
        self.process = None
        self.is_over = False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        for name, (arguments, seconds) in self.commands.items():
            with self.lock:
                if self.is_over:
                    return
                self.process = subprocess.Popen(
                    [sys.executable, os.path.join(HERE, name), *arguments],
                    stdout=self.said[name], stderr=subprocess.STDOUT)
            try:
                self.codes[name] = self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._end()
            self.ended[name].set()

    def _end(self):
        self.process.terminate()  # it ends its own processes
        self.process.wait()

    def code(self, name):
        """How it ended, None if it took too long; what it said is shown if the test fails."""
        self.ended[name].wait()
        self.said[name].seek(0)
        print(self.said[name].read().decode())
        return self.codes.get(name)

    def stop(self):
        with self.lock:
            self.is_over = True
            if self.process and self.process.poll() is None:
                self._end()
        self.thread.join()
