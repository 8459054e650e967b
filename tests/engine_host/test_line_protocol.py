"""The engine host reads line protocol as the server does, and refuses it in the same words."""

import pytest

from tests.engine_host.line_protocol import LineError, parse_line, split_lines


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("m n=1", {"n": ("field::float", 1.0)}),
        ("m n=-1i", {"n": ("field::integer", -1)}),
        ("m n=9223372036854775807i", {"n": ("field::integer", 2**63 - 1)}),
        ("m n=18446744073709551615u", {"n": ("field::uinteger", 2**64 - 1)}),
        ("m n=-2.5e-3", {"n": ("field::float", -0.0025)}),
        ("m n=1E3", {"n": ("field::float", 1000.0)}),
        ('m s=""', {"s": ("field::string", "")}),
        (r'm s="a \"q\" \\ \b"', {"s": ("field::string", r'a "q" \ \b')}),
        ('m s="a,b c=d\ne"', {"s": ("field::string", "a,b c=d\ne")}),
        ("m a=t,b=T,c=true,d=True,e=TRUE", dict.fromkeys("abcde", ("field::boolean", True))),
        ("m a=f,b=F,c=false,d=False,e=FALSE", dict.fromkeys("abcde", ("field::boolean", False))),
        ("m,h=a,r=b n=1i", {"h": ("tag", "a"), "r": ("tag", "b"), "n": ("field::integer", 1)}),
        (r"m,a\=b=c\,\ d n=1", {"a=b": ("tag", "c, d"), "n": ("field::float", 1.0)}),
        (r"m,a=b\c n=1", {"a": ("tag", r"b\c"), "n": ("field::float", 1.0)}),
        ("m f,g=1", {"f,g": ("field::float", 1.0)}),
        ("m,ü=ö ß=1", {"ü": ("tag", "ö"), "ß": ("field::float", 1.0)}),
        ("m n=1,", {"n": ("field::float", 1.0)}),
    ],
)
def test_tags_and_fields_of_every_type_are_read_in_order(line: str, columns: dict[str, object]) -> None:
    point = parse_line(line)
    assert point.columns == columns
    assert list(point.columns) == list(columns)
    assert point.table == "m"


@pytest.mark.parametrize(
    ("line", "table", "timestamp"),
    [
        ("m n=1", "m", None),
        ("m n=1 5", "m", 5),
        ("m   n=1   -5  ", "m", -5),
        (r"a\ b\,c n=1 0", "a b,c", 0),
        (r"a\b n=1", r"a\b", None),
    ],
)
def test_a_line_has_a_table_and_may_have_a_timestamp(line: str, table: str, timestamp: int | None) -> None:
    point = parse_line(line)
    assert (point.table, point.timestamp, point.line) == (table, timestamp, line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("m", "Expected at least one space character, got end of input"),
        ("m\tn=1", "Expected at least one space character, got `\tn=1`"),
        (", n=1", "Invalid measurement was provided"),
        ("m, n=1", "Expected tag key, got ` n=1`"),
        ("m,a= n=1", "Expected tag value, got ` n=1`"),
        ("m,a=,bcdefgh=i n=1", "Expected tag value, got `,bcdefgh=i...`"),
        ("m,a n=1", "Tag set malformed: could not find equals sign in `a n=1`"),
        ("m,a=1,a=2 n=1", "Must not contain duplicate tags, but `a` was repeated"),
        ("m n=", "No fields were provided"),
        ("m n=.5", "No fields were provided"),
        ("m n=nan", "No fields were provided"),
        (r'm s="a\"', "No fields were provided"),
        ("m n=1,n=2", "invalid line protocol - multiple instances of 'n' field found"),
        (
            "m,n=1 n=2",
            "invalid column type for column 'n', expected iox::column_type::tag, got iox::column_type::field::float",
        ),
        ("m n=1i5", "Could not parse entire line. Found trailing content: `5`"),
        ("m n=5.", "Could not parse entire line. Found trailing content: `.`"),
        ("m n=-1u", "Could not parse entire line. Found trailing content: `u`"),
        ("m n=1 5 6", "Could not parse entire line. Found trailing content: `6`"),
        ("m n=1 ", "Could not parse entire line. Found trailing content: ` `"),
        ("m n=1 5\r", "Could not parse entire line. Found trailing content: `\r`"),
        ("m a=1,b= 5", "Could not parse entire line. Found trailing content: `b= 5`"),
        ("m a=1,b=2,c= 5", "Could not parse entire line. Found trailing content: `,c= 5`"),
        ("m n=9223372036854775808i", "Unable to parse integer value `9223372036854775808`"),
        ("m n=18446744073709551616u", "Unable to parse unsigned integer value `18446744073709551616`"),
        ("m n=1 9223372036854775808", "Unable to parse timestamp value `9223372036854775808`"),
        ("m\\", "Measurements, tag keys and values, and field keys may not end with a backslash"),
        (f'm s="{"é" * 32769}"', "String is greater than 64KB"),
    ],
)
def test_an_invalid_line_is_refused_with_the_servers_error(line: str, error: str) -> None:
    with pytest.raises(LineError) as refused:
        parse_line(line)
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n \n\t\n", []),
        ("a\nb\n", ["a", "b"]),
        ("# comment\n  a v=1\n\n#another", ["a v=1"]),
        ('m s="a\nb" 1\nm s="c" 2', ['m s="a\nb" 1', 'm s="c" 2']),
        ('m s="x=\\"\n" 3\nz v=1', ['m s="x=\\"\n" 3', "z v=1"]),
        ('m,t="a\nm v=1', ['m,t="a', "m v=1"]),
        ('# "a =\nm v=1', ["m v=1"]),
        ("m v=1\\\nm v=2", ["m v=1\\\nm v=2"]),
    ],
)
def test_lines_end_at_a_line_break_but_for_one_in_a_string_or_after_a_backslash(text: str, lines: list[str]) -> None:
    assert list(split_lines(text)) == lines
