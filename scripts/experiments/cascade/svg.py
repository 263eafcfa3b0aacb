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


def heat(title, across, down, columns, rows, values):
    """A table of ratios; darker is more, 1.0 and below is white, a dash is no value."""
    cell, left, top = (110, 34), 110, 74
    width, height = left + cell[0] * len(columns) + 170, top + cell[1] * len(rows) + 30
    parts = [text(12, 24, title, "start", 'font-weight="bold"'), text(left + cell[0] * len(columns) / 2, 48, across)]
    parts.append(text(18, top + cell[1] * len(rows) / 2, down, "middle", f'transform="rotate(-90 18 {top + cell[1] * len(rows) / 2:.1f})"'))
    for j, column in enumerate(columns):
        parts.append(text(left + cell[0] * (j + 0.5), top - 8, f"{column:g}"))
    for i, row in enumerate(rows):
        parts.append(text(left - 8, top + cell[1] * (i + 0.65), f"{row:.4g}", "end"))
        for j, column in enumerate(columns):
            value = values.get((row, column))
            share = 0 if value is None else max(0.0, min(1.0, (value - 1) / 4))
            colour = f"rgb({round(255 - 255 * share)},{round(255 - 141 * share)},{round(255 - 77 * share)})"
            x, y = left + cell[0] * j, top + cell[1] * i
            parts.append(f'<rect x="{x}" y="{y}" width="{cell[0]}" height="{cell[1]}" fill="{colour}" stroke="#999"/>')
            parts.append(text(x + cell[0] / 2, y + cell[1] * 0.65, "–" if value is None else f"{value:.2f}×", extra=f'fill="{"white" if share > 0.5 else "black"}"'))
    x = left + cell[0] * len(columns) + 24
    for step in range(5):
        share = step / 4
        colour = f"rgb({round(255 - 255 * share)},{round(255 - 141 * share)},{round(255 - 77 * share)})"
        parts.append(f'<rect x="{x}" y="{top + 24 * step}" width="20" height="20" fill="{colour}" stroke="#999"/>')
        parts.append(text(x + 28, top + 24 * step + 15, f"{1 + 4 * share:g}×" + (" and more" if step == 4 else ""), "start"))
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
