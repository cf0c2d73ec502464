// The example workflows of the server, as a gallery that can be searched.

/** An example. group: "" for none; picture: there is one. */
export interface Example {
  readonly name: string;
  readonly title: string;
  readonly group: string;
  readonly description: string;
  readonly picture: boolean;
}

/** Examples of one group. */
export interface Shelf {
  readonly group: string;
  readonly examples: readonly Example[];
}

/** The groups, in the order in which they come first. */
export function groupsOf(examples: readonly Example[]): readonly string[] {
  return [...new Set(examples.map(({ group }) => group))];
}

/** The examples in which every word of the query is found, by group. group: only of this one; null: of all. */
export function shelves(examples: readonly Example[], query: string, group: string | null = null): readonly Shelf[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = examples.filter((example) => {
    const { name, title, description } = example;
    const text = `${name} ${title} ${example.group} ${description}`.toLowerCase();
    return (group === null || example.group === group) && words.every((word) => text.includes(word));
  });
  return groupsOf(found).map((each) => ({ group: each, examples: found.filter((one) => one.group === each) }));
}
