# SPDX-License-Identifier: Apache-2.0
"""The chain of awaits of depth.py: coroutines and async generators (3.6 and later only)."""


async def link(depth, waiter):
    if depth == 1:
        block, arguments = waiter.call()
        for step in (waiter.account.record, block):
            step(*arguments)
        return 0
    if depth % 3 == 0:
        async for value in produce(depth - 1, waiter):
            return value
    if depth % 3 == 1:
        return await link(
            depth - 1,
            waiter)
    async with Guard():
        return await link(depth - 1, waiter)


async def produce(depth, waiter):
    if depth == 1:
        block, arguments = waiter.call()
        for step in (waiter.account.record, block):
            step(*arguments)
    yield await link(depth - 1, waiter)


class Guard:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        return False


def run(depth, waiter):
    """Drives a chain so that `depth` frames stand, this one included."""
    chain = link(depth - 1, waiter)
    try:
        chain.send(None)
    except StopIteration:
        pass
