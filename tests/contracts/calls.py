"""Calls that executors are tested with; workers import them from here."""

import os
import time


def multiply(value, item):
    return value * item


def refuse(value, item):
    raise KeyError(item)


def pid_of(value, item):
    time.sleep(0.05)
    return os.getpid()


def end_worker(value, item):
    os._exit(3)


def count_up(value, item):
    value.append(item)
    return len(value)


def nap(value, item):
    time.sleep(item)
    return item
