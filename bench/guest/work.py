# SPDX-License-Identifier: BSD-2-Clause
"""usage: work.py N: objects, dictionaries, strings and calls, N rounds."""
import sys


class Node:
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def insert(self, key):
        node = self
        while True:
            side = "left" if key < node.key else "right"
            below = getattr(node, side)
            if below is None:
                setattr(node, side, Node(key))
                return
            node = below

    def depth(self):
        return 1 + max(side.depth() if side else 0
                       for side in (self.left, self.right))


def work(seed):
    words = {}
    tree = Node(500000)
    for i in range(1500):
        seed = (seed * 1103515245 + 12345) % 2147483648
        tree.insert(seed % 1000003)
        word = "k%d" % (seed % 997)
        words[word] = words.get(word, 0) + len(word)
    line = " ".join(sorted(words, key=lambda w: (words[w], w)))
    return tree.depth() + len(line.replace("k", "key ").split())


for number in range(int(sys.argv[1])):
    work(number + 1)
