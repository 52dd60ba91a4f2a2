"""Loops over postings and tokens that numba compiles; they find what `scoring`, `closeness` and `ranking` find.

Plain functions of arrays: numba tells their types by the first call, and `compiled.py` makes it.
"""

import numpy as np


def best(
    passages, kinds, starts, table, frequency, lengths, alive, k1, base, slope, numbers, shares, bounds, weights, k,
    scores, counted, seen, fresh,
):  # fmt: skip
    """The `k` best passages by the postings of the terms `numbers`; `bounds` parts those of each question term.

    `scores` and `counted` hold zeros, before and after; `seen` and `fresh` have room for the number of each passage,
    and for one more.
    """
    touched = 0
    for term in range(len(weights)):
        weight = weights[term]
        first, last = bounds[term], bounds[term + 1]
        if last - first == 1 and shares[first] == 1.0:
            for at in range(starts[numbers[first]], starts[numbers[first] + 1]):
                passage = passages[at]
                score = scores[passage]
                seen[touched] = passage
                touched += score == 0.0  # a branch would be guessed wrong half of the time
                scores[passage] = score + weight * table[kinds[at]]
            continue
        met = 0
        for member in range(first, last):
            share = shares[member]
            for at in range(starts[numbers[member]], starts[numbers[member] + 1]):
                passage = passages[at]
                count = counted[passage]
                fresh[met] = passage
                met += count == 0.0
                counted[passage] = count + share * frequency[kinds[at]]
        for at in range(met):
            passage = fresh[at]
            count = counted[passage]
            counted[passage] = 0.0
            score = scores[passage]
            seen[touched] = passage
            touched += score == 0.0
            scores[passage] = score + weight * (k1 + 1) * count / (count + base + slope * lengths[passage])
    # A heap with the worst of the best at its root.
    heap = np.empty(k, np.float64)
    owner = np.empty(k, np.int64)
    size = 0
    for at in range(touched):
        passage = seen[at]
        score = scores[passage]
        scores[passage] = 0.0
        if len(alive) and not alive[passage]:
            continue
        if size < k:
            hole = size
            size += 1
            while hole:
                up = (hole - 1) >> 1
                if heap[up] < score or (heap[up] == score and owner[up] > passage):
                    break
                heap[hole], owner[hole] = heap[up], owner[up]
                hole = up
        elif score > heap[0] or (score == heap[0] and passage < owner[0]):
            hole = 0
            while 2 * hole + 1 < k:
                down = 2 * hole + 1
                if down + 1 < k and (
                    heap[down + 1] < heap[down] or (heap[down + 1] == heap[down] and owner[down + 1] > owner[down])
                ):
                    down += 1
                if heap[down] > score or (heap[down] == score and owner[down] < passage):
                    break
                heap[hole], owner[hole] = heap[down], owner[down]
                hole = down
        else:
            continue
        heap[hole], owner[hole] = score, passage
    return owner[:size], heap[:size]


def again(
    tokens, begins, documents, lengths, passages, scores, numbers, alike, bounds, weights, places, close,
    term_of, alike_of, document, neighbour, k,
):  # fmt: skip
    """The `k` best of some passages after a second look at them."""
    order = np.argsort(passages)
    passages, scores = passages[order], scores[order]
    if len(weights):
        closeness(
            tokens, begins, lengths, passages, scores, numbers, alike, bounds, weights, places, close,
            term_of, alike_of,
        )  # fmt: skip
    return chosen(passages, with_context(passages, scores, documents, document, neighbour), k)


def closeness(
    tokens, begins, lengths, passages, scores, numbers, alike, bounds, weights, places, close, term_of, alike_of,
):  # fmt: skip
    """Add to each score what closeness does; `term_of` and `alike_of` hold zeros for every term, before and after."""
    k1, base, slope, sentence, following = close
    terms = len(weights)
    for term in range(terms):
        for member in range(bounds[term], bounds[term + 1]):
            if alike[member] >= alike_of[numbers[member]]:
                alike_of[numbers[member]] = alike[member]
                term_of[numbers[member]] = term + 1
    seen = np.zeros(terms)
    size = places.max() + 1
    frequency = np.zeros((len(passages), size))
    least = np.zeros(size)
    for row in range(len(passages)):
        total = best = 0.0
        seen[:] = 0.0
        # The last two places where a term of the question stands, and which.
        at1 = at2 = -9
        was1 = was2 = 0
        for at in range(begins[passages[row]], begins[passages[row] + 1]):
            token = tokens[at]
            if token < 0:
                best = max(best, total)
                total = 0.0
                seen[:] = 0.0
                continue
            term = term_of[token] - 1
            if term < 0:
                continue
            near = alike_of[token]
            if near > seen[term]:
                total += (near - seen[term]) * weights[term]
                seen[term] = near
            if at - at1 <= 2 and places[term] == places[was1] + 1:
                frequency[row, places[was1]] += near * alike_of[tokens[at1]]
                least[places[was1]] = max(least[places[was1]], min(weights[term], weights[was1]))
            if at - at2 <= 2 and places[term] == places[was2] + 1:
                frequency[row, places[was2]] += near * alike_of[tokens[at2]]
                least[places[was2]] = max(least[places[was2]], min(weights[term], weights[was2]))
            at2, was2, at1, was1 = at1, was1, at, term
        scores[row] += sentence * max(best, total)
    for row in range(len(passages)):
        for place in range(size):
            count = frequency[row, place]
            if count > 0.0:
                length = base + slope * lengths[passages[row]]
                scores[row] += following * least[place] * (k1 + 1) * count / (count + length)
    for member in range(len(numbers)):
        alike_of[numbers[member]] = 0.0
        term_of[numbers[member]] = 0


def with_context(passages, scores, documents, document, neighbour):
    """The scores with what other passages of the document add; passages in ascending order."""
    result = scores.copy()
    first = 0
    while first < len(passages):
        last = first
        best = 0.0
        while last < len(passages) and documents[passages[last]] == documents[passages[first]]:
            best = max(best, scores[last])
            last += 1
        for row in range(first, last):
            beside = 0.0
            if row > first and passages[row - 1] == passages[row] - 1:
                beside = scores[row - 1]
            if row + 1 < last and passages[row + 1] == passages[row] + 1:
                beside = max(beside, scores[row + 1])
            result[row] += document * (best - scores[row]) + neighbour * beside
        first = last
    return result


def chosen(passages, scores, k):
    """The `k` best, the best first, equal ones in their order."""
    k = min(k, len(passages))
    best = np.empty(k, np.int64)
    value = np.empty(k, np.float64)
    size = 0
    for row in range(len(passages)):
        score = scores[row]
        if size == k and score <= value[k - 1]:
            continue
        at = size if size < k else k - 1
        while at and value[at - 1] < score:
            value[at], best[at] = value[at - 1], best[at - 1]
            at -= 1
        value[at], best[at] = score, passages[row]
        size = min(size + 1, k)
    return best, value
