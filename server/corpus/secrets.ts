/**
 * Files that hold credentials, by name and by content. Precise rather than broad: a file that only talks
 * about keys stays (config.json, .env.example, a test that names a PEM header), a file that carries one goes.
 * Each rule names itself, so the consent dialogue can say what was found without showing it.
 */

const SECRET_NAMES: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  {
    pattern: /^\.env(\.(?!(example|sample|template|dist|defaults?|schema)$)[^/]*)?$/i,
    what: "an environment file",
  },
  { pattern: /^\.envrc$/, what: "an environment file" },
  { pattern: /\.(pem|p12|pfx|pkcs12|jks|keystore|kdbx?|ppk|p8)$/i, what: "a key file" },
  { pattern: /^id_(rsa|dsa|ecdsa|ed25519)(_sk)?$/i, what: "an SSH key" },
  {
    pattern:
      /^(\.netrc|_netrc|\.pgpass|\.my\.cnf|\.htpasswd|\.git-credentials|\.pypirc|\.dockercfg|\.boto|\.s3cfg)$/i,
    what: "a credentials file",
  },
  { pattern: /\.(tfstate|tfstate\.backup|tfvars)$/i, what: "Terraform state" },
  { pattern: /^secrets?\.(ya?ml|json|toml|ini|properties)$/i, what: "a secrets file" },
];

const SECRET_PATHS: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /(^|\/)\.aws\/(credentials|config)$/, what: "AWS credentials" },
  { pattern: /(^|\/)\.(ssh|gnupg)\//, what: "a key folder" },
  { pattern: /(^|\/)\.docker\/config\.json$/, what: "registry credentials" },
  { pattern: /(^|\/)\.kube\/config$/, what: "cluster credentials" },
];

/** What kind of secret the path stands for, or undefined. */
export function secretByName(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return (
    SECRET_NAMES.find((rule) => rule.pattern.test(name))?.what ??
    SECRET_PATHS.find((rule) => rule.pattern.test(path))?.what
  );
}

/** `needle` is looked for first: a plain search is far cheaper than the pattern. */
const SECRET_TEXTS: readonly {
  readonly needle: string;
  readonly pattern: RegExp;
  readonly what: string;
}[] = [
  {
    // The header alone is code about keys; a body of base64 after it is a key (also with \n escapes).
    needle: "PRIVATE KEY",
    pattern:
      /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn]|["'+,]|[A-Za-z-]+: [^\n]*\n)*[A-Za-z0-9+/=]{40}/,
    what: "a private key",
  },
  {
    needle: "AKIA",
    pattern: /\bAKIA(?![A-Z0-9]{9}EXAMPLE)[A-Z2-7]{16}\b/,
    what: "an AWS access key",
  },
  {
    needle: "ASIA",
    pattern: /\bASIA(?![A-Z0-9]{9}EXAMPLE)(?=[A-Z2-7]*[2-7])[A-Z2-7]{16}\b/,
    what: "an AWS access key",
  },
  { needle: "gh", pattern: /\bgh[pousr]_[A-Za-z0-9]{36,}\b/, what: "a GitHub token" },
  { needle: "github_pat_", pattern: /\bgithub_pat_[A-Za-z0-9_]{60,}/, what: "a GitHub token" },
  { needle: "glpat-", pattern: /\bglpat-[A-Za-z0-9_-]{20,}/, what: "a GitLab token" },
  { needle: "xox", pattern: /\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{16,}/, what: "a Slack token" },
  {
    needle: "_live_",
    pattern: /\b[rs]k_live_[A-Za-z0-9]{20,}\b/,
    what: "a Stripe key",
  },
  { needle: "npm_", pattern: /\bnpm_[A-Za-z0-9]{36}\b/, what: "an npm token" },
  {
    needle: "_authToken",
    pattern: /_authToken\s*=\s*(?!\$\{)[^\s$]{16,}/,
    what: "an npm token",
  },
  { needle: "AIza", pattern: /\bAIza[A-Za-z0-9_-]{35}\b/, what: "a Google API key" },
  { needle: "sk-ant-", pattern: /\bsk-ant-[A-Za-z0-9_-]{40,}/, what: "an API key" },
  {
    needle: "sk-",
    pattern: /\bsk-(?:proj-)?[A-Za-z0-9_-]*T3BlbkFJ[A-Za-z0-9_-]+/,
    what: "an API key",
  },
  {
    needle: "SG.",
    pattern: /\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b/,
    what: "a SendGrid key",
  },
  { needle: "hf_", pattern: /\bhf_[A-Za-z]{34}\b/, what: "a Hugging Face token" },
  { needle: "pypi-AgE", pattern: /\bpypi-AgE[A-Za-z0-9_-]{50,}/, what: "a PyPI token" },
  { needle: "dop_v1_", pattern: /\bdop_v1_[0-9a-f]{64}\b/, what: "a DigitalOcean token" },
  { needle: "shpat_", pattern: /\bshpat_[0-9a-f]{32}\b/, what: "a Shopify token" },
  { needle: "AccountKey=", pattern: /\bAccountKey=[A-Za-z0-9+/]{80,}=*/, what: "a storage key" },
];

/** A name that promises a secret, an assignment, a quoted literal. The literal's entropy decides. */
const ASSIGNED =
  /(?:secret|token|passw(?:or)?d|passphrase|api_?key|access_?key|auth_?key|private_?key|credential)[a-z0-9_]*["']?\s{0,4}(?::=|=>|[:=,])\s{0,4}["'`]([A-Za-z0-9+/_=.-]{20,200})["'`]/gi;

/** The same with punctuation, as key generators of web frameworks write it. */
const GENERATED_KEY =
  /(?:secret|auth|private|secure|logged_in|nonce)[a-z0-9_]*(?:key|salt)[a-z0-9_]*["']?\s{0,4}(?::=|=>|[:=,])\s{0,4}(?:"([^\s"\\]{40,120})"|'([^\s'\\]{40,120})')/gi;

/** A password inside of a connection string or an address; AWS's own name for its key needs no quotes. */
const EMBEDDED = [
  /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/'"<>{}$]{1,64}:([^\s@/'"<>{}$%]{10,100})@[\w.-]+/gi,
  /\b(?:password|pwd)=([^\s;"'<>{}$%&]{10,100})(?=[;"'])/gi,
  /\baws_secret_access_key\s{0,4}[=:]\s{0,4}["']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])/gi,
];

const PLACEHOLDER =
  /example|sample|dummy|placeholder|changeme|your[_-]?|xxxx|test|fake|mock|0123456|12345678|abcdef/i;

/** What kind of secret the text carries, or undefined. Text is the file's bytes as latin1. */
export function secretByContent(text: string): string | undefined {
  for (const rule of SECRET_TEXTS)
    if (text.includes(rule.needle) && rule.pattern.test(text)) return rule.what;
  for (const match of text.matchAll(ASSIGNED)) {
    const literal = match[1] ?? "";
    if (looksRandom(literal) && !PLACEHOLDER.test(literal)) return "a high-entropy token";
  }
  for (const match of text.matchAll(GENERATED_KEY)) {
    const literal = match[1] ?? match[2] ?? "";
    if (looksGenerated(literal) && !PLACEHOLDER.test(literal)) return "a high-entropy token";
  }
  for (const pattern of EMBEDDED)
    for (const [whole, literal = ""] of text.matchAll(pattern))
      if (looksChosen(literal) && !PLACEHOLDER.test(whole)) return "a password";
  return undefined;
}

/** Letters, digits and much punctuation, all of them mixed. */
function looksGenerated(literal: string): boolean {
  const digits = (literal.match(/[0-9]/g) ?? []).length;
  const marks = (literal.match(/[^A-Za-z0-9]/g) ?? []).length;
  return (
    digits >= 4 && marks >= 4 && !/:\/\/|[A-Za-z]{9,}/.test(literal) && entropy(literal) >= 4.3
  );
}

/** No word that stands for a password, but a password: letters of both cases and digits in no order. */
function looksChosen(literal: string): boolean {
  if (/pass|word|secret|admin|root|user|demo|local|changeit|postgres/i.test(literal)) return false;
  return (
    /[a-z]/.test(literal) &&
    /[A-Z]/.test(literal) &&
    /[0-9].*[0-9]/.test(literal) &&
    entropy(literal) >= 3
  );
}

/** Long hexadecimal, or mixed letters and digits close to the entropy of random text of that length. */
export function looksRandom(literal: string): boolean {
  const digits = (literal.match(/[0-9]/g) ?? []).length;
  if (digits < 3 || !/[A-Za-z]/.test(literal)) return false;
  const bits = entropy(literal);
  if (/^[0-9a-f]+$/i.test(literal)) return literal.length >= 32 && bits >= 3;
  // Words joined by punctuation (paths, host names, key names) have long runs of one letter case.
  if (/[a-z]{8,}|[A-Z]{8,}/.test(literal)) return false;
  if (literal.split(/[^A-Za-z0-9]+/).every((word) => /^([A-Za-z]*|[0-9]*)$/.test(word)))
    return false;
  return bits >= 3.8;
}

/** Shannon entropy of the characters, bits per character. */
function entropy(text: string): number {
  const counts = new Map<string, number>();
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) {
    const share = count / text.length;
    bits -= share * Math.log2(share);
  }
  return bits;
}
