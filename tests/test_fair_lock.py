"""The lock of a memory: one thread at a time, in the order in which they came."""

import threading
import time

from memkit_sqlite.fair_lock import FairLock


def wait_for_queue(lock: FairLock, length: int) -> None:
    while len(lock._queue) < length:
        time.sleep(0.001)


def test_threads_get_the_lock_in_the_order_in_which_they_came() -> None:
    lock, order = FairLock(), list[int]()

    def enter(n: int) -> None:
        with lock:
            order.append(n)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(8)]
    with lock:
        for n, thread in enumerate(threads, start=1):
            thread.start()
            wait_for_queue(lock, n)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_thread_that_asks_again_at_once_lets_the_waiting_one_go_first() -> None:
    lock, order = FairLock(), list[str]()

    def enter() -> None:
        with lock:
            order.append("waiting")

    thread = threading.Thread(target=enter)
    with lock:
        thread.start()
        wait_for_queue(lock, 1)
    with lock:
        order.append("again")
    thread.join()
    assert order == ["waiting", "again"]


def test_the_owner_may_enter_again_and_keeps_it_until_the_last_exit() -> None:
    lock, order = FairLock(), list[str]()
    thread = threading.Thread(target=lambda: (lock.__enter__(), order.append("b"), lock.__exit__()))
    with lock:
        with lock:
            thread.start()
            wait_for_queue(lock, 1)
        order.append("a")
    thread.join()
    assert order == ["a", "b"]


def test_no_two_threads_are_inside_at_a_time() -> None:
    lock, inside, most = FairLock(), 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
