"""A whole payroll for the demo: liquidations, payslips, their lines, and what was deducted by which line.

Made beside the items of ``dev.seed``, and the same each time. All amounts add up: the lines of a payslip to
its gross, withheld and net, the deductions of a line to that line. CUIL and CBU have their check digits, and
are of nobody. The payslips of the liquidations lie among each other in the order of their ids.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
from psycopg import sql

from dev.compare import Table
from dev.seed import ELSEWHERE

#: So many payslips each liquidation has.
PAYSLIPS = {7: 8, 40: 180, 41: 620, 42: 640, 43: 25}
#: In consulta from the beginning, and nobody's business.
PAYSLIPS_ELSEWHERE = 60

#: Hashes of the demo are keyed with this; a real installation has a secret of its own.
SECRET = "of-the-demo-and-so-no-secret-at-all"

COPIES = """
[[copies]]
name               = "head"
title              = "Cabecera"
source_table       = "public.liquidations"
target_table       = "public.liquidations"
liquidation_column = "id"

[[copies]]
name         = "payslips"
title        = "Recibos"
source_table = "public.payslips"
target_table = "public.payslips"
columns      = { name = "mask", cuil = "hash", cbu = "omit" }

[[copies]]
name         = "lines"
title        = "Renglones"
source_table = "public.payslip_lines"
target_table = "public.payslip_lines"
via          = "payslip_id -> public.payslips.id"

[[copies]]
name         = "deductions"
title        = "Retenciones"
source_table = "public.deductions"
target_table = "public.deductions"
via          = "line_id -> public.payslip_lines.id"

[[sets]]
name    = "completa"
title   = "Liquidación completa"
copies  = ["head", "payslips", "lines", "deductions"]
default = true
"""

_OF_A_PAYSLIP = "payslip_id IN (SELECT id FROM payslips WHERE liquidation_id = %(liquidation)s)"
#: The same for the comparison, which shares no code with what reads the configuration.
TABLES = (
    Table("liquidations", "id = %(liquidation)s"),
    Table(
        "payslips",
        "liquidation_id = %(liquidation)s",
        rules={"name": "mask", "cuil": "hash", "cbu": "omit"},
    ),
    Table("payslip_lines", _OF_A_PAYSLIP),
    Table("deductions", f"line_id IN (SELECT id FROM payslip_lines WHERE {_OF_A_PAYSLIP})"),
)

_HEAD = """
CREATE TABLE liquidations (
    id bigint PRIMARY KEY, name text NOT NULL, period date NOT NULL, kind text NOT NULL,
    created_at timestamptz NOT NULL
);
INSERT INTO liquidations VALUES
    (39, 'Sueldos mensuales · Septiembre 2026', '2026-09-01', 'mensual', '2026-09-29 19:40:11.25-03');
"""
_REST = """
CREATE TABLE payslips (
    id bigint PRIMARY KEY,
    liquidation_id bigint NOT NULL REFERENCES liquidations,
    employee_no int NOT NULL,
    name text NOT NULL,
    cuil text NOT NULL,
    {cbu}
    category text NOT NULL,
    gross numeric(14,2) NOT NULL,
    withheld numeric(14,2) NOT NULL,
    net numeric(14,2) NOT NULL CHECK (net = gross - withheld),
    paid_on date NOT NULL
);
CREATE INDEX payslips_liquidation_idx ON payslips (liquidation_id, id);
CREATE TABLE payslip_lines (
    id bigint PRIMARY KEY,
    payslip_id bigint NOT NULL REFERENCES payslips,
    concept char(4) NOT NULL,
    description text NOT NULL,
    quantity numeric(8,2),
    amount numeric(14,2) NOT NULL
);
CREATE INDEX payslip_lines_payslip_idx ON payslip_lines (payslip_id, id);
CREATE TABLE deductions (
    id bigint PRIMARY KEY,
    line_id bigint NOT NULL REFERENCES payslip_lines,
    agency text NOT NULL,
    base numeric(14,2) NOT NULL,
    percentage numeric(5,2) NOT NULL,
    amount numeric(14,2) NOT NULL
);
CREATE INDEX deductions_line_idx ON deductions (line_id, id);
"""
_CBU = "cbu text NOT NULL,"

FAMILY_NAMES = (
    "Acuña Agüero Albarracín Benítez Bermúdez Cáceres Cardozo Domínguez Echeverría Fernández Figueroa "
    "Gauna Giménez Herrera Ibáñez Insaurralde Juárez Ledesma Maldonado Meza Muñoz Núñez Ocampo Ojeda Páez "
    "Peñaloza Quiroga Ramírez Ríos Sánchez Sosa Toledo Urquiza Vázquez Villalba Yáñez Zárate Zeballos"
)
GIVEN_NAMES = (
    "Agustín Alejandra Andrés Belén Camila Candela Damián Débora Emilia Ezequiel Facundo Gimena Gonzalo "
    "Iñaki Joaquín Julieta Lautaro Lucía Malena Martín Matías Micaela Milagros Nicolás Noelia Pilar Ramón "
    "Rocío Santiago Sofía Tomás Valentín Verónica Ximena"
)
#: With the basic pay of each.
CATEGORIES = {
    "Administrativo A": 912_400,
    "Administrativo C": 1_048_750,
    "Técnico": 1_236_900,
    "Jefe": 1_874_300,
}
#: What is withheld is a share of what is earned by concepts before this one.
NOT_OF_THE_BASE = "2000"
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class _Employee:
    number: int
    name: str
    cuil: str
    cbu: str
    category: str
    years: int


@dataclass(frozen=True, slots=True)
class _Deduction:
    agency: str
    base: Decimal
    percentage: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class _Line:
    concept: str
    description: str
    quantity: Decimal | None
    amount: Decimal
    deductions: Sequence[_Deduction] = ()


def seed_payroll_in_prod(connection_url: str) -> None:
    """Payslips of all liquidations, beside the catalogue that ``dev.seed.seed_prod`` has made."""
    chosen = random.Random(2026)
    staff = [_employee(chosen, n) for n in range(max(PAYSLIPS.values()))]
    wanted = [(liquidation, place) for liquidation, n in PAYSLIPS.items() for place in range(n)]
    wanted.sort(key=lambda each: ((each[1] + 0.5) / PAYSLIPS[each[0]], each[0]))
    _fill(connection_url, _REST.format(cbu=_CBU), chosen, [(n, staff[place]) for n, place in wanted])


def seed_payroll_in_consulta(connection_url: str) -> None:
    """The same tables, without the column of the bank accounts, and with liquidation 39 only."""
    chosen = random.Random(39)
    staff = [_employee(chosen, 5_000 + n) for n in range(PAYSLIPS_ELSEWHERE)]
    payslips = [(ELSEWHERE, each) for each in staff]
    _fill(connection_url, _HEAD + _REST.format(cbu=""), chosen, payslips, first=900_000, kept=_kept)


def change_in_prod(connection_url: str) -> None:
    """What a payroll department does after the copy: three payslips get 8,400 more, one is taken out."""
    with psycopg.connect(connection_url) as prod:
        ids = prod.execute(
            "SELECT id FROM payslips WHERE liquidation_id = 42 ORDER BY id OFFSET 100 LIMIT 4"
        ).fetchall()
        *raised, gone = [row[0] for row in ids]
        prod.execute(
            "UPDATE payslip_lines SET amount = amount + 8400 WHERE payslip_id = ANY(%s) AND concept = '2002'",
            [raised],
        )
        prod.execute(
            "UPDATE payslips SET gross = gross + 8400, net = net + 8400 WHERE id = ANY(%s)", [raised]
        )
        lines = "SELECT id FROM payslip_lines WHERE payslip_id = %s"
        prod.execute(f"DELETE FROM deductions WHERE line_id IN ({lines})".encode(), [gone])
        prod.execute("DELETE FROM payslip_lines WHERE payslip_id = %s", [gone])
        prod.execute("DELETE FROM payslips WHERE id = %s", [gone])


# -- People


def _employee(chosen: random.Random, n: int) -> _Employee:
    families = FAMILY_NAMES.split()
    given = chosen.sample(GIVEN_NAMES.split(), 2)
    return _Employee(
        number=1_000 + n,
        name=f"{families[n % len(families)]}, {' '.join(given)}",
        cuil=cuil(chosen.choice(("20", "23", "27")), chosen.randrange(18_000_000, 46_000_000)),
        cbu=cbu(chosen.choice((11, 14, 17, 72, 285)), chosen.randrange(1, 999), chosen.randrange(10**13)),
        category=chosen.choices(list(CATEGORIES), (8, 6, 4, 1))[0],
        years=chosen.randrange(0, 28),
    )


def cuil(kind: str, dni: int) -> str:
    """``20-30123456-7``: the number of a person at the tax office, with its check digit."""
    digits = f"{kind}{dni:08}"
    rest = 11 - sum(int(d) * w for d, w in zip(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
    if rest == 10:  # such a number gets another kind
        return cuil("24" if kind == "23" else "23", dni)
    return f"{kind}-{dni:08}-{0 if rest == 11 else rest}"


def cbu(bank: int, branch: int, account: int) -> str:
    """A bank account: bank, branch and account, with two check digits; 22 in all."""
    first, second = f"{bank:03}{branch:04}", f"{account:013}"
    return f"{first}{_check(first, (7, 1, 3, 9))}{second}{_check(second, (3, 9, 7, 1))}"


def _check(digits: str, weights: Sequence[int]) -> int:
    return -sum(int(digit) * weights[n % 4] for n, digit in enumerate(digits)) % 10


# -- Their payslips


def _lines(chosen: random.Random, liquidation: int, who: _Employee) -> list[_Line]:
    """What is earned, and what is withheld of it."""
    earned = [line for line in _earned(chosen, liquidation, who) if line.amount]
    base = sum((line.amount for line in earned if line.concept < NOT_OF_THE_BASE), Decimal())
    withheld = [
        _withheld("5001", "Jubilación", base, ("ANSES", "11.00")),
        _withheld("5002", "Ley 19.032", base, ("INSSJP", "3.00")),
        _withheld("5003", "Obra social", base, ("OSECAC", "2.55"), ("Fondo solidario", "0.45")),
    ]
    if who.number % 3 != 0:
        withheld.append(_withheld("5010", "Cuota sindical", base, ("Sindicato", "2.50")))
    if base > 2_200_000:
        withheld.append(_withheld("5020", "Impuesto a las ganancias", base, ("ARCA", "7.40")))
    return earned + withheld


def _earned(chosen: random.Random, liquidation: int, who: _Employee) -> Iterator[_Line]:
    basic = Decimal(CATEGORIES[who.category])
    if liquidation == 40:
        yield _Line("1090", "Adelanto quincenal", None, _cents(basic * Decimal("0.3")))
        return
    if liquidation == 41:
        yield _Line("1200", "Sueldo anual complementario", Decimal("6"), _cents(basic / 2))
        yield _Line("1201", "SAC sobre adicionales", None, _cents(basic * Decimal(who.years) / 200))
        return
    yield _Line("1001", "Sueldo básico", Decimal("30"), _cents(basic))
    yield _Line("1002", "Antigüedad", Decimal(who.years), _cents(basic * Decimal(who.years) / 100))
    yield _Line("1003", "Presentismo", None, _cents(basic * Decimal("0.0833")))
    yield _Line(
        "1004", "Título universitario", None, _cents(basic * Decimal(chosen.choice((0, 5, 10))) / 100)
    )
    hours = Decimal(chosen.randrange(0, 40)) / 2
    yield _Line("1010", "Horas extra 50 %", hours, _cents(basic / 200 * hours * Decimal("1.5")))
    if chosen.random() < 0.4:
        hours = Decimal(chosen.randrange(1, 16))
        yield _Line("1011", "Horas extra 100 %", hours, _cents(basic / 200 * hours * 2))
    yield _Line("2001", "Viáticos", None, Decimal(chosen.randrange(12_000, 48_000)))
    yield _Line("2002", "Acuerdo · suma no remunerativa", None, Decimal("65000.00"))
    if liquidation == 43:
        yield _Line("1300", "Vacaciones no gozadas", Decimal("9"), _cents(basic / 25 * 9))


def _withheld(concept: str, description: str, base: Decimal, *parts: tuple[str, str]) -> _Line:
    each = [
        _Deduction(agency, base, Decimal(percentage), _cents(base * Decimal(percentage) / 100))
        for agency, percentage in parts
    ]
    return _Line(concept, description, None, -sum((part.amount for part in each), Decimal()), each)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


# -- Into the servers

Row = dict[str, Any]


def _kept(payslip: Row) -> Row:
    """As an earlier copy left it in consulta."""
    hidden = {"name": f"{payslip['name'][0]}***", "cuil": random.Random(payslip["id"]).randbytes(32).hex()}
    return {name: value for name, value in (payslip | hidden).items() if name != "cbu"}


def _fill(
    connection_url: str,
    tables: str,
    chosen: random.Random,
    wanted: Iterable[tuple[int, _Employee]],
    *,
    first: int = 10_000,
    kept: Callable[[Row], Row] = dict,
) -> None:
    """Makes the tables, and a payslip for each liquidation and employee; ids begin at ``first``."""
    payslips: list[Row] = []
    lines: list[Row] = []
    deductions: list[Row] = []
    for liquidation, who in wanted:
        payslip_id = first + len(payslips) + len(payslips) // 50 * 3  # with gaps
        found = _lines(chosen, liquidation, who)
        payslips.append(kept(_payslip(payslip_id, liquidation, who, found)))
        for line in found:
            own = {name: getattr(line, name) for name in ("concept", "description", "quantity", "amount")}
            lines.append({"id": 10 * first + len(lines), "payslip_id": payslip_id} | own)
            for part in line.deductions:
                key = {"id": 20 * first + len(deductions), "line_id": lines[-1]["id"]}
                deductions.append(key | asdict(part))
    with psycopg.connect(connection_url) as connection:
        connection.execute(tables.encode())
        for table, rows in (("payslips", payslips), ("payslip_lines", lines), ("deductions", deductions)):
            _copy_in(connection, table, rows)
    with psycopg.connect(connection_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) liquidations, payslips, payslip_lines, deductions")


def _payslip(payslip_id: int, liquidation: int, who: _Employee, lines: Sequence[_Line]) -> Row:
    gross = sum((line.amount for line in lines if line.amount > 0), Decimal())
    withheld = -sum((line.amount for line in lines if line.amount < 0), Decimal())
    return {
        "id": payslip_id,
        "liquidation_id": liquidation,
        "employee_no": who.number,
        "name": who.name,
        "cuil": who.cuil,
        "cbu": who.cbu,
        "category": who.category,
        "gross": gross,
        "withheld": withheld,
        "net": gross - withheld,
        "paid_on": "2026-10-30",
    }


def _copy_in(connection: psycopg.Connection, table: str, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row[name] for name in names])
