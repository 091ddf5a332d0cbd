// The link between the nodes: arrows that move with the traffic, from the primary to the standby. They stand still for who wants that.
import { type LinkState, stepSeconds } from './topology-state.ts';

const LENGTH = 200;
const ACROSS = 28;
const STEP = 40;
const COUNT = LENGTH / STEP + 1;

export function LinkDrawing({
  state,
  isReversed,
  isVertical,
  bytesPerSecond,
}: {
  readonly state: LinkState;
  readonly isReversed: boolean;
  readonly isVertical: boolean;
  readonly bytesPerSecond: number;
}) {
  const length = isVertical ? LENGTH / 2.5 : LENGTH;
  const [width, height] = isVertical ? [ACROSS, length] : [length, ACROSS];
  const middle = ACROSS / 2;
  // Drawn from left to right, then turned to where it belongs.
  const turned = [
    isVertical ? `translate(${ACROSS} 0) rotate(90)` : '',
    isReversed ? `translate(${length} ${ACROSS}) rotate(180)` : '',
  ].join(' ');
  return (
    <svg
      className="link-drawing"
      data-state={state}
      viewBox={`0 0 ${width} ${height}`}
      aria-hidden
      style={{ maxWidth: width * 1.2, maxHeight: isVertical ? 84 : 40 }}
    >
      <g transform={turned}>
        <line className="link-line" x1={4} y1={middle} x2={length - 4} y2={middle} />
        {state === 'broken' ? (
          <path className="link-cross" d={`M${length / 2 - 8} ${middle - 8}l16 16m0 -16l-16 16`} />
        ) : (
          <g
            className="link-arrows"
            style={{ animationDuration: `${stepSeconds(bytesPerSecond)}s` }}
          >
            {Array.from({ length: COUNT }, (_, index) => index * STEP)
              .filter((at) => at < length - 12)
              .map((at) => (
                <path key={at} className="link-arrow" d={`M${at + 6} ${middle - 6}l7 6l-7 6`} />
              ))}
          </g>
        )}
      </g>
    </svg>
  );
}
