"""What the last reply of a model cost, as the thread that read it sees it."""

import threading

from memkit.records import Usage


class Last(threading.local):
    """Replies of one model may be read side by side, each in a thread of its own."""

    usage: Usage | None = None
    estimated = False  # whether memkit counted that, and not the server
