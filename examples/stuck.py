#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that is stuck for real: attach a debugger and ask why.

    python3 examples/stuck.py &
    gdb -p $! -ex 'source gdb/pybraid.py' -ex py-bt-native

It sorts orders by value. To know an order's value it replaces the amounts in its text by euros, and for
that asks a rate server, which never answers: Python, C (list.sort), Python, C (re.sub), Python, C (recv).
A worker thread waits for orders meanwhile, and another one sleeps between its rounds.
"""
import os
import queue
import re
import socket
import sys
import threading
import time

AMOUNT = re.compile(r"(\d+) (USD|GBP|JPY)")


class RateServer:
    """The client's side of a connection to a server that has gone quiet."""

    def __init__(self):
        self.connection, self.other_end = socket.socketpair()

    def rate(self, currency):
        self.connection.sendall(currency.encode() + b"\n")
        return float(self.connection.recv(64))


class Order:
    def __init__(self, number, text):
        self.number = number
        self.text = text


def value_of(order, rates):
    """The order's value in euros."""
    def in_euros(match):
        amount, currency = match.groups()
        return str(float(amount) * rates.rate(currency))

    text = AMOUNT.sub(in_euros, order.text)
    return sum(float(word) for word in text.split() if word.replace(".", "").isdigit())


def largest_first(orders, rates):
    return sorted(orders, key=lambda order: value_of(order, rates), reverse=True)


def deliver(orders):
    while True:
        order = orders.get()
        print("delivering", order.number)


def heartbeat(seconds):
    while True:
        time.sleep(seconds)


def main():
    waiting = queue.Queue()
    threading.Thread(target=deliver, name="delivery", args=(waiting,), daemon=True).start()
    threading.Thread(target=heartbeat, name="heartbeat", args=(3600,), daemon=True).start()
    orders = [Order(1, "10 USD for bolts"), Order(2, "7 GBP for nuts"), Order(3, "900 JPY for rice")]
    print("stuck", os.getpid(), flush=True)
    for order in largest_first(orders, RateServer()):
        waiting.put(order)


if __name__ == "__main__":
    sys.exit(main())
