/** Credentials stay out of the corpus; code that merely talks about them stays in. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { looksRandom, secretByContent, secretByName } from "../../server/corpus/secrets.ts";

// Put together at run time, so that this file carries no token itself.
const body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
const pem = `-----BEGIN ${"RSA PRIVATE"} KEY-----\n${body}\n-----END RSA PRIVATE KEY-----\n`;
const mixed = ["q9X", "vT2", "mLp", "8Zr", "4Kc", "7Wn", "1Hd", "6Js"].join("");
/** As generators of frameworks' keys write it. */
const marked = "8x!k#2(t&h@5v$q9z^w1m*e7r_b3n0y+u6i=c4o)";

describe("secrets by name", () => {
  test.each([
    ".env",
    "app/.env.production",
    ".env.local",
    "certs/server.pem",
    "id_rsa",
    "home/.ssh/known_hosts",
    ".netrc",
    "infra/terraform.tfstate",
    ".aws/credentials",
    "config/secrets.yml",
    "release.keystore",
  ])("leave out %s", (path) => {
    expect(secretByName(path)).toBeTypeOf("string");
  });

  test.each([
    "config.json",
    ".env.example",
    ".env.template",
    "env.ts",
    "src/secrets.ts",
    "src/credentials.py",
    "id_rsa.md",
    "tokens.json",
    "environment.ts",
    "key.ts",
    "package.json",
    ".npmrc",
    "settings.yaml",
    "auth/passwordReset.ts",
  ])("keep %s", (path) => {
    expect(secretByName(path)).toBeUndefined();
  });
});

describe("secrets by content", () => {
  test.each([
    ["a private key", pem],
    ["a private key", `const key = "${pem.replaceAll("\n", "\\n")}";`],
    ["an AWS access key", `id = AKI${"A"}Q3EGRIKVK2QWZ7TB`],
    ["a GitHub token", `ghp${"_"}${mixed}${mixed}`],
    ["a Slack token", `xoxb${"-"}123456789012-${mixed}`],
    ["an npm token", `//registry.example/:_auth${"Token"}=${mixed}`],
    ["a high-entropy token", `API_KEY = "${mixed}"`],
    ["a high-entropy token", `"clientSecret": "${mixed}"`],
    ["a high-entropy token", `{ token: '${"9f86d081884c7d659a2feaa0c55ad015"}' }`],
    ["a high-entropy token", `define('DB_PASSWORD', '${mixed}');`],
    ["a high-entropy token", `SECRET_${"KEY"} = 'django-insecure-${marked}'`],
    ["a high-entropy token", `define( 'AUTH_${"SALT"}',  '${marked}' );`],
    ["a Hugging Face token", `login("hf${"_"}${"AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"}")`],
    ["a password", `"Default": "Server=db;User Id=sa;Pass${"word"}=${mixed.slice(0, 12)};"`],
    ["a password", `url = "postgres://app:${mixed.slice(0, 12)}@db.shop.net:5432/shop"`],
    ["a password", `aws_secret_access_${"key"} = ${mixed.repeat(2).slice(0, 40)}`],
  ])("find %s", (what, text) => {
    expect(secretByContent(text)).toBe(what);
  });

  test.each([
    `if (text.startsWith("-----BEGIN ${"PRIVATE"} KEY-----")) parse(text);`,
    `aws_access_key_id = AKI${"A"}IOSFODNN7EXAMPLE`,
    `const token = "getAccessTokenFromSessionStorage";`,
    `apiKey: "process.env.NEXT_PUBLIC_API_KEY_1234"`,
    `password = "correct-horse-battery-staple"`,
    `const tokenType = "application/x-www-form-urlencoded";`,
    `//registry.example/:_auth${"Token"}=\${NPM_TOKEN}`,
    `"integrity": "sha512-${mixed}${mixed}=="`,
    `secret = "your-secret-key-goes-here-123"`,
    `const tokens = ["return", "function"];`,
    `url = "postgres://postgres:postgres@localhost:5432/test"`,
    `url = "https://user:\${process.env.TOKEN_2}@host/path"`,
    `"Server=db;User Id=sa;Password=Pass@word1234;"`,
    `"Server=db;User Id=sa;Password={Password12};"`,
    `SECRET_KEY = "change-this-to-something-long-and-unpredictable-please"`,
    `const authKeyUrl = "https://login.example.net/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";`,
    `expect(parse("ftp://name:aB3dE5fG7hI9@test.example"))`,
    `aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`,
    `commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b`,
  ])("keep %s", (text) => {
    expect(secretByContent(text)).toBeUndefined();
  });

  test("never mistake plain words for random text", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom("get", "User", "name", "by", "Id", "list", "page", "_", "-", "."),
          {
            minLength: 8,
            maxLength: 20,
          },
        ),
        (words) => !looksRandom(words.join("")),
      ),
    );
  });
});
