# SPDX-License-Identifier: Apache-2.0
"""Reverse-mode differentiation over NumPy arrays, just enough for the reference model: one node per array operation.

A Node holds a value and, for each operand, a function from the node's cotangent to the operand's. `gradients` walks the
nodes in reverse order of their making. Everything is f64 unless the caller passes other arrays in.
"""

import itertools

import numpy as np

_clock = itertools.count()


class Node:
    def __init__(self, value, edges=()):
        self.value, self.edges, self.order = np.asarray(value), edges, next(_clock)

    shape = property(lambda self: self.value.shape)

    def __add__(self, other):
        other = lift(other)
        return Node(self.value + other.value,
                    [(self, lambda g: _reduce(g, self.shape)), (other, lambda g: _reduce(g, other.shape))])

    def __mul__(self, other):
        other = lift(other)
        return Node(self.value * other.value,
                    [(self, lambda g: _reduce(g * other.value, self.shape)),
                     (other, lambda g: _reduce(g * self.value, other.shape))])

    def __matmul__(self, other):
        return Node(self.value @ other.value,
                    [(self, lambda g: _reduce(g @ _swap(other.value), self.shape)),
                     (other, lambda g: _reduce(_swap(self.value) @ g, other.shape))])

    def __sub__(self, other):
        return self + lift(other) * -1.0

    def __truediv__(self, other):
        return self * power(lift(other), -1.0)

    def __getitem__(self, key):
        def scatter(g):
            out = np.zeros(self.shape, g.dtype)
            np.add.at(out, key, g)
            return out
        return Node(self.value[key], [(self, scatter)])

    def reshape(self, *shape):
        return Node(self.value.reshape(shape), [(self, lambda g: g.reshape(self.shape))])

    def transpose(self, *axes):
        return Node(self.value.transpose(axes), [(self, lambda g: g.transpose(np.argsort(axes)))])

    def sum(self, axis=None, keepdims=False):
        def spread(g):
            if axis is not None and not keepdims:
                g = np.expand_dims(g, axis)
            return np.broadcast_to(g, self.shape)
        return Node(self.value.sum(axis=axis, keepdims=keepdims), [(self, spread)])


def lift(x):
    return x if isinstance(x, Node) else Node(x)


def _swap(a):
    return np.swapaxes(a, -1, -2)


def _reduce(g, shape):
    """Sums g over the axes along which an operand of `shape` was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


def power(x, exponent):
    return Node(x.value ** exponent, [(x, lambda g: g * exponent * x.value ** (exponent - 1))])


def exp(x):
    y = np.exp(x.value)
    return Node(y, [(x, lambda g: g * y)])


def log(x):
    return Node(np.log(x.value), [(x, lambda g: g / x.value)])


def sigmoid(x):
    y = 1 / (1 + np.exp(-x.value))
    return Node(y, [(x, lambda g: g * y * (1 - y))])


def concatenate(parts, axis):
    cuts = np.cumsum([part.shape[axis] for part in parts])[:-1]
    def piece(index):
        return lambda g: np.split(g, cuts, axis)[index]
    return Node(np.concatenate([part.value for part in parts], axis),
                [(part, piece(index)) for index, part in enumerate(parts)])


def stack(parts, axis):
    def piece(index):
        return lambda g: np.take(g, index, axis)
    return Node(np.stack([part.value for part in parts], axis),
                [(part, piece(index)) for index, part in enumerate(parts)])


def gradients(result, leaves):
    """d result / d leaf for each leaf; zeros where the result does not depend on it."""
    pending, cotangent = {result.order: result}, {result.order: np.ones_like(result.value)}
    wanted = {id(leaf): np.zeros_like(leaf.value) for leaf in leaves}
    while pending:
        order = max(pending)
        node, g = pending.pop(order), cotangent.pop(order)
        if id(node) in wanted:
            wanted[id(node)] = g
        for operand, backward in node.edges:
            pending[operand.order] = operand
            part = backward(g)
            cotangent[operand.order] = cotangent[operand.order] + part if operand.order in cotangent else part
    return [wanted[id(leaf)] for leaf in leaves]
