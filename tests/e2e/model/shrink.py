"""Makes a failure's history short: ever smaller parts of it are left out while it still fails."""


def shrink(history, fails, tries_max=200):
    """`fails(history)` is true for the given list; returns a short part of it that still fails.

    The last step stays: it is the one whose replies differ."""
    tries = 0
    head, last = list(history[:-1]), [history[-1]]
    size = max(len(head) // 2, 1)
    while head and tries < tries_max:
        at, shorter = 0, False
        while at < len(head) and tries < tries_max:
            candidate = head[:at] + head[at + size:]
            tries += 1
            if fails(candidate + last):
                head, shorter = candidate, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        if not shorter or size > 1:
            size = max(size // 2, 1)
    return head + last
