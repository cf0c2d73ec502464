// Arithmetic in number widgets: "64*8+1". Numbers, + - * / % ^, parentheses; ^ binds to the right.

const TOKEN = /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([-+*/%^()]))/y;
const DEEPEST = 100;

/** The value of an expression; null where it is none, or is not finite. A whole number that stands
 * alone is exact, however large. */
export function evaluate(text: string): number | bigint | null {
  const given = text.trim().replace(/,/g, ".").replace(/[×·]/g, "*").replace(/÷/g, "/").replace(/\*\*/g, "^");
  if (/^[-+]?\d+$/.test(given)) {
    const number = Number(given);
    return Number.isSafeInteger(number) ? number : BigInt(given);
  }
  const tokens = read(given);
  if (!tokens?.length) return null;
  const value = new Parser(tokens).value();
  return value !== null && Number.isFinite(value) ? value : null;
}

function read(text: string): (number | string)[] | null {
  const tokens: (number | string)[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const match = TOKEN.exec(text);
    if (!match) return null;
    tokens.push(match[1] !== undefined ? Number(match[1]) : (match[2] ?? ""));
  }
  return tokens;
}

/** Null anywhere means that it is no expression. */
class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly (number | string)[]) {}

  value(): number | null {
    const value = this.sum();
    return this.at === this.tokens.length ? value : null;
  }

  private sum(): number | null {
    let left = this.product();
    for (let sign = this.take("+", "-"); sign && left !== null; sign = this.take("+", "-")) {
      const right = this.product();
      left = right === null ? null : sign === "+" ? left + right : left - right;
    }
    return left;
  }

  private product(): number | null {
    let left = this.signed();
    for (let sign = this.take("*", "/", "%"); sign && left !== null; sign = this.take("*", "/", "%")) {
      const right = this.signed();
      left = right === null ? null : sign === "*" ? left * right : sign === "/" ? left / right : left % right;
    }
    return left;
  }

  private signed(): number | null {
    const sign = this.take("-", "+");
    if (!sign) return this.power();
    if ((this.depth += 1) > DEEPEST) return null;
    const value = this.signed();
    return value === null ? null : sign === "-" ? -value : value;
  }

  private power(): number | null {
    const base = this.atom();
    if (base === null || !this.take("^")) return base;
    if ((this.depth += 1) > DEEPEST) return null;
    const exponent = this.signed();
    return exponent === null ? null : base ** exponent;
  }

  private atom(): number | null {
    const token = this.tokens[this.at];
    if (typeof token === "number") {
      this.at += 1;
      return token;
    }
    if (!this.take("(") || (this.depth += 1) > DEEPEST) return null;
    const value = this.sum();
    return this.take(")") ? value : null;
  }

  private take(...signs: string[]): string | null {
    const token = this.tokens[this.at];
    if (typeof token !== "string" || !signs.includes(token)) return null;
    this.at += 1;
    return token;
  }
}
