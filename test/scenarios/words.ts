/** `key=value` among the words of a line; the value may hold more of them. */
export function options(words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words
      .filter((word) => word.includes('='))
      .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  );
}

export function listOf(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(',');
}

/** `a=b,c=d` */
export function valuesOf(text: string | undefined): Readonly<Record<string, string>> {
  return options(listOf(text));
}
