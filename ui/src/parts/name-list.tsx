/** The first `most` of the names of datasets, and whether there are others. */
export function NameList({ names, most }: { readonly names: readonly string[]; readonly most: number }) {
  return (
    <ul>
      {names.slice(0, most).map((id) => (
        <li key={id} class="dataset">
          {id}
        </li>
      ))}
      {names.length > most && <li>and others</li>}
    </ul>
  );
}
