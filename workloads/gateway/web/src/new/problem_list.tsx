// What is wrong with a resource or with files, line by line.
import type { Problem } from "./apply";

export function Problems({ problems }: { problems: readonly Problem[] }) {
  return (
    <ul class="wrong">
      {problems.map(({ field, message }, i) => (
        <li key={i}>
          {field !== "" && <code>{field}</code>} {message}
        </li>
      ))}
    </ul>
  );
}
