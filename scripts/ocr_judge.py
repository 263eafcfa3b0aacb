"""Draws pages with known text and counts how often a detector finds the lines, a recogniser reads them, and both together do.
Called by scripts/ocr with the folder of the models; writes the samples beside them and prints the counts as JSON."""

import argparse
import hashlib
import itertools
import json
import os
import random
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import onnxruntime
import scipy.ndimage
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 480, 320
# A crop is scaled to this height and padded to this width, as a server must that batches crops; longer ones are squeezed.
CROP_WIDTH, CROP_HEIGHT = 480, 48
# What a detector was trained to see: mean and standard deviation of the channels of ImageNet.
MEAN, DEVIATION = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
WORDS = (
    "request server replica deadline queue latency budget signed received payable subtotal street harbour platform departure "
    "invoice quantity Vienna Lisbon Oslo Madrid 2026 09:30 12.5% 349.95 No.3 B-17 C4 weekly summary morning evening north"
).split()


class Drawing:
    """Draws pages: rows of text, each worn on its own, so that lines are as good as independent of each other."""

    def __init__(self, fonts, seed, severity):
        self.fonts, self.severity = fonts, severity
        self.random, self.noise = random.Random(seed), numpy.random.default_rng(seed)

    def page(self):
        """Returns a page as height × width grey bytes, and the text and box (top, bottom, left, right) of each line."""
        image = Image.new("L", (WIDTH, HEIGHT), self.random.randint(190, 255))
        pen, lines, top, wanted = ImageDraw.Draw(image), [], 14, self.random.randint(3, 7)
        while top < HEIGHT - 35 and len(lines) < wanted:
            text = " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(1, 3)))
            font = ImageFont.truetype(self.random.choice(self.fonts), self.random.randint(16, 26))
            left = self.random.randint(8, 60)
            if left + pen.textlength(text, font=font) > WIDTH - 10:
                continue
            # A line is as high as its font, whichever letters it has: that is what people mark.
            x0, _, x1, _ = pen.textbbox((left, top), text, font=font)
            pen.text((left, top), text, font=font, fill=self.random.randint(0, 90))
            lines.append((text, (top, top + sum(font.getmetrics()), int(x0), int(x1) + 1)))
            top += self.random.randint(40, 58)
        return self.worn(image, lines), lines

    def worn(self, image, lines):
        between = [(above[1] + below[0]) // 2 for (_, above), (_, below) in itertools.pairwise(lines)]
        rows = [self.worn_row(image.crop((0, begin, WIDTH, end))) for begin, end in itertools.pairwise([0, *between, HEIGHT])]
        return numpy.concatenate(rows)

    def worn_row(self, row):
        wear = self.severity * self.random.random()
        grey = numpy.asarray(row.filter(ImageFilter.GaussianBlur(1.1 * wear * self.random.random())), numpy.float32)
        grey = grey + self.noise.normal(0, 34 * wear * self.random.random(), grey.shape)
        return numpy.clip(grey, 0, 255).astype(numpy.uint8)


class Model:
    """An opened model."""

    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        # One thread adds numbers up in one order, on every machine of a kind.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def run(self, samples):
        return self.session.run(None, {self.input: samples})[0]


class Recogniser(Model):
    """Reads crops."""

    def __init__(self, file):
        super().__init__(file)
        letters = self.session.get_modelmeta().custom_metadata_map["character"].splitlines()
        # Class 0 says that there is no letter, the last one is the space.
        self.letters = ["", *letters, " "]

    def read(self, crops):
        """Returns the text of each crop: the best class of each column, repetitions and blanks left out."""
        texts = []
        for start in range(0, len(crops), 8):
            best = self.run(numpy.stack(crops[start : start + 8])).argmax(2)
            texts += ["".join(self.letters[now] for before, now in zip([0, *row], row) if now != before) for row in best.tolist()]
        return texts


def detector_input(page):
    return ((page[..., None] / numpy.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1)


def crop_of(page, box):
    """Returns what a recogniser is given: the part of a page, scaled, centred around 0 and padded with 0."""
    top, bottom, left, right = box
    part = Image.fromarray(page[max(top, 0) : bottom, max(left, 0) : right])
    width = min(CROP_WIDTH, max(16, round(part.width * CROP_HEIGHT / part.height)))
    scaled = numpy.asarray(part.resize((width, CROP_HEIGHT), Image.BILINEAR), numpy.float32) / 255
    padded = numpy.zeros((3, CROP_HEIGHT, CROP_WIDTH), numpy.float32)
    padded[:, :, :width] = (scaled - 0.5) / 0.5
    return padded


def boxes(probability):
    """Returns the boxes around what a detector takes for text. It marks the middle of a line, so boxes are let out by half their
    height on each side; marks that a word's gap parts are joined."""
    marked = scipy.ndimage.binary_dilation(probability > 0.3, numpy.ones((1, 9)))
    found = []
    for rows, columns in scipy.ndimage.find_objects(scipy.ndimage.label(marked)[0]):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height >= 4 and width >= 8 and probability[rows, columns].max() >= 0.5:
            out = height // 2 + 1
            found.append((max(rows.start - out, 0), rows.stop + out, max(columns.start - out, 0), columns.stop + out))
    return found


def overlap(one, other):
    """Returns intersection ÷ union of two boxes."""
    area = lambda box: max(box[1] - box[0], 0) * max(box[3] - box[2], 0)
    shared = area((max(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), min(one[3], other[3])))
    return shared / (area(one) + area(other) - shared)


def put_together(lines, found, texts):
    """Returns what was read of each line: the texts of the boxes nearest to it, from left to right."""
    middle = lambda box: (box[0] + box[1]) / 2
    of_line = [[] for _ in lines]
    for box, text in zip(found, texts):
        nearest = min(range(len(lines)), key=lambda line: abs(middle(lines[line][1]) - middle(box)))
        of_line[nearest].append((box[2], text.strip()))
    return [" ".join(text for _, text in sorted(parts)) for parts in of_line]


def counted(pages):
    """Returns right answers, all answers, and the half-width of a 95 % interval that takes the lines of a page to hang together (a
    ratio of sums over pages, linearised). `pages` holds right and wrong lines by page."""
    right, of = sum(map(sum, pages)), sum(map(len, pages))
    share, count = right / of, len(pages)
    spread = sum((sum(page) - share * len(page)) ** 2 for page in pages) * count / (count - 1)
    return {"right": right, "of": of, "half_width": round(1.96 * spread**0.5 / of, 5)}


def find_lines(file, pages):
    """Returns the boxes that a detector finds on each page."""
    model = Model(file)
    return [boxes(model.run(detector_input(page)[None])[0, 0]) for page, _ in pages]


def lines_found(pages, found):
    """Counts the lines that a box overlaps by half."""
    hits = [[any(overlap(box, line) >= 0.5 for box in of_page) for _, line in lines] for (_, lines), of_page in zip(pages, found)]
    return counted(hits) | {"boxes_per_page": round(sum(map(len, found)) / len(pages), 4)}


def lines_read(file, pages, found):
    """Counts the lines that a recogniser reads exactly, given boxes on each page."""
    model, hits = Recogniser(file), []
    for (page, lines), of_page in zip(pages, found):
        texts = put_together(lines, of_page, model.read([crop_of(page, box) for box in of_page]))
        hits.append([text == line for text, (line, _) in zip(texts, lines)])
    return counted(hits)


def idx(file, samples):
    """Writes samples as IDX floats."""
    samples = numpy.stack(samples)
    header = bytes([0, 0, 13, samples.ndim]) + struct.pack(f">{samples.ndim}I", *samples.shape)
    file.write_bytes(header + samples.astype(">f4").tobytes())


def true_boxes(pages):
    """Returns the boxes of the lines, let out at their ends as detectors do."""
    return [[(top, bottom, left - 4, right + 4) for _, (top, bottom, left, right) in lines] for _, lines in pages]


def judge(models, detectors, recognisers, pages):
    """Returns the counts of all stages and pairs; as many of them at a time as there are cores."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        finds = {name: pool.submit(find_lines, models / f"{name}.onnx", pages) for name in detectors}
        found = {name: find.result() for name, find in finds.items()} | {"truth": true_boxes(pages)}
        pairs = [(finder, name) for name in recognisers for finder in found]
        reads = {(finder, name): pool.submit(lines_read, models / f"{name}.onnx", pages, found[finder]) for finder, name in pairs}
        read = {pair: counts.result() for pair, counts in reads.items()}
    return {
        "detectors": {name: lines_found(pages, found[name]) for name in detectors},
        "recognisers": {name: read["truth", name] for name in recognisers},
        "pairs": {f"{finder} {name}": read[finder, name] for finder in detectors for name in recognisers},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--detectors", required=True)
    parser.add_argument("--recognisers", required=True)
    parser.add_argument("--fonts", required=True)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--severity", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    drawing = Drawing([given.models / f"{font}.ttf" for font in given.fonts.split(",")], given.seed, given.severity)
    pages = [drawing.page() for _ in range(given.pages)]
    crops = [crop_of(page, box) for (page, _), of_page in zip(pages, true_boxes(pages)) for box in of_page]
    idx(given.models / "pages.idx", [detector_input(page) for page, _ in pages[:16]])
    idx(given.models / "crops.idx", crops[:64])
    drawn = {
        "pages": len(pages),
        "lines": len(crops),
        "seed": given.seed,
        "severity": given.severity,
        "sha256": hashlib.sha256(b"".join(page.tobytes() for page, _ in pages)).hexdigest(),
        # Where something is drawn in the last column there was no room to pad.
        "longer_than_a_crop": sum(bool(numpy.abs(crop[:, :, -1]).max() > 0) for crop in crops),
    }
    judged = judge(given.models, given.detectors.split(","), given.recognisers.split(","), pages)
    print(json.dumps({"drawn": drawn} | judged, indent=1))


if __name__ == "__main__":
    main()
