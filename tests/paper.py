"""Makes PDF files of a few lines a page, in Latin letters and in Chinese."""

from __future__ import annotations

import io
from collections.abc import Sequence

Line = str | tuple[str, float]
"""Words, and their size in points where it is not 11."""


def make_pdf(pages: Sequence[Sequence[Line]], *, title: str = "", password: str = "") -> bytes:
    """A PDF whose lines stand below each other; an empty line leaves a gap."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{6 + 2 * at} 0 R' for at in range(len(pages)))}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H /DescendantFonts [<<"
        " /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe)"
        " /Ordering (GB1) /Supplement 2 >> /DW 1000 >>] >>",
        f"<< /Title ({title}) >>",
    ]
    for at, lines in enumerate(pages):
        content = _content(lines)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]"
            f" /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {7 + 2 * at} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    data = _file(objects)
    return _locked(data, password) if password else data


def _content(lines: Sequence[Line]) -> str:
    told, y = [], 800.0
    for line in lines:
        text, size = (line, 11.0) if isinstance(line, str) else line
        y -= 1.4 * size
        if text.isascii():
            escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            shown, font = f"({escaped})", "F1"
        else:
            shown, font = f"<{text.encode('utf-16-be').hex()}>", "F2"
        told += [f"BT /{font} {size} Tf 1 0 0 1 60 {y:.1f} Tm {shown} Tj ET"] if text else []
    return "\n".join(told)


def _file(objects: Sequence[str]) -> bytes:
    data, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{each}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + (head + end).encode()


def _locked(data: bytes, password: str) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(password, algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    return locked.getvalue()
