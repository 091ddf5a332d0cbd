// A small line without axes, for a value that stands beside it in words.
import './charts.css';

const WIDTH = 120;

/** `label` says what it is; the drawing itself adds nothing for who hears the page. */
export function Sparkline({
  values,
  height = 28,
  label,
}: {
  readonly values: readonly number[];
  readonly height?: number;
  readonly label: string;
}) {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const y = (value: number): number => height - 1 - (value / most) * (height - 2);
  const path = values
    .map(
      (value, index) =>
        `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${y(value).toFixed(1)}`,
    )
    .join('');
  return (
    <svg
      className="spark"
      viewBox={`0 0 ${WIDTH} ${height}`}
      height={height}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={path} />
    </svg>
  );
}
