"""Small pictures as SVG text: a table of ratios in colour, and lines over a common axis."""

import math
from html import escape

# Okabe and Ito's palette, as in the planner's own pictures.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
FONT = 'font-family="sans-serif" font-size="13"'


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {FONT} {extra}>{escape(str(words))}</text>'


def page(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>"]) + "\n"


def shade(value):
    """Returns the colour of a ratio: from white at 1 to blue at 5 and above; below 1 towards red."""
    share = max(-1.0, min(1.0, (value - 1) / 4 if value >= 1 else 2 * (value - 1)))
    towards = (0, 114, 178) if share >= 0 else (213, 94, 0)
    return "rgb({},{},{})".format(*(round(255 + (end - 255) * abs(share)) for end in towards)), abs(share)


def heat(title, across, down, columns, rows, values):
    """A table of ratios, a list of them for each row; a dash is no value."""
    cell, left, top = (100, 32), 110, 74
    width, height = left + cell[0] * len(columns) + 150, top + max(cell[1] * len(rows), 24 * 7) + 20
    width = max(width, 8 * len(title) + 24)
    parts = [text(12, 24, title, "start", 'font-weight="bold"'), text(left + cell[0] * len(columns) / 2, 46, across)]
    middle = top + cell[1] * len(rows) / 2
    parts.append(text(18, middle, down, "middle", f'transform="rotate(-90 18 {middle:.1f})"'))
    for j, column in enumerate(columns):
        parts.append(text(left + cell[0] * (j + 0.5), top - 8, column))
    for i, (row, ratios) in enumerate(zip(rows, values)):
        parts.append(text(left - 8, top + cell[1] * (i + 0.65), row, "end"))
        for j, value in enumerate(ratios):
            x, y = left + cell[0] * j, top + cell[1] * i
            colour, share = ("#eee", 0) if value is None else shade(value)
            parts.append(f'<rect x="{x}" y="{y}" width="{cell[0]}" height="{cell[1]}" fill="{colour}" stroke="#999"/>')
            words = "–" if value is None else f"{value:.2f}×"
            parts.append(text(x + cell[0] / 2, y + cell[1] * 0.65, words, extra=f'fill="{"white" if share > 0.5 else "black"}"'))
    x = left + cell[0] * len(columns) + 24
    for step, ratio in enumerate((0.5, 1, 2, 3, 4, 5)):
        parts.append(f'<rect x="{x}" y="{top + 24 * step}" width="20" height="20" fill="{shade(ratio)[0]}" stroke="#999"/>')
        parts.append(text(x + 28, top + 24 * step + 15, f"{ratio:g}×" + (" and more" if ratio == 5 else ""), "start"))
    parts.append(f'<rect x="{x}" y="{top + 24 * 6}" width="20" height="20" fill="#eee" stroke="#999"/>' + text(x + 28, top + 24 * 6 + 15, "not both", "start"))
    return page(width, height, parts)


def ticks(low, high, wanted=6):
    """Round numbers from low to high."""
    rough = (high - low) / wanted or 1.0
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = -(-low // step) * step
    return [first + step * i for i in range(int((high - first) / step + 1e-9) + 1)]


def lines(title, across, up, series, log=False):
    """Lines with marks: {name: [(x, y)]}; with `log`, both axes are logarithmic."""
    width, height, left, right, top, bottom = 760, 420, 80, 190, 46, 56
    points = [point for line in series.values() for point in line]
    scale = math.log10 if log else float
    xs, ys = ([scale(point[axis]) for point in points] for axis in (0, 1))
    spans = [(min(values), max(values) if max(values) > min(values) else min(values) + 1) for values in (xs, ys)]
    x = lambda value: left + (scale(value) - spans[0][0]) / (spans[0][1] - spans[0][0]) * (width - left - right)
    y = lambda value: height - bottom - (scale(value) - spans[1][0]) / (spans[1][1] - spans[1][0]) * (height - top - bottom)
    parts = [text(12, 24, title, "start", 'font-weight="bold"'), text((left + width - right) / 2, height - 12, across)]
    parts.append(text(18, height / 2, up, "middle", f'transform="rotate(-90 18 {height / 2})"'))
    for axis, place in ((0, x), (1, y)):
        low, high = spans[axis]
        marks = [10**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)] if log else ticks(low, high)
        for mark in marks:
            label = f"{mark:g}"
            if axis == 0:
                parts.append(f'<line x1="{place(mark):.1f}" x2="{place(mark):.1f}" y1="{top}" y2="{height - bottom}" stroke="#ddd"/>')
                parts.append(text(place(mark), height - bottom + 18, label))
            else:
                parts.append(f'<line y1="{place(mark):.1f}" y2="{place(mark):.1f}" x1="{left}" x2="{width - right}" stroke="#ddd"/>')
                parts.append(text(left - 8, place(mark) + 4, label, "end"))
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(px):.1f}" cy="{y(py):.1f}" r="3" fill="{colour}"/>' for px, py in line]
        parts.append(f'<rect x="{width - right + 16}" y="{top + 22 * index}" width="14" height="14" fill="{colour}"/>')
        parts.append(text(width - right + 36, top + 22 * index + 12, name, "start"))
    return page(width, height, parts)
