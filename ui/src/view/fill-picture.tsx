import { useId } from "preact/hooks";
import type { PoolRecord } from "../api/records.ts";
import { mibText } from "../model/sizes.ts";

/** How full a pool is, and how full it will be when it must keep what was promised. */
export function FillPicture({ pool }: { readonly pool: PoolRecord }) {
  const stripes = useId();
  const whole = Math.max(1, pool.size);
  const used = Math.min(100, (pool.allocated / whole) * 100);
  const promised = Math.min(100 - used, (pool.promised / whole) * 100);
  const isShort = pool.promised > pool.available;
  const label =
    `${Math.round(used)} % of ${mibText(pool.size)} are allocated, ` +
    `and ${mibText(pool.promised)} are promised${isShort ? ", more than there is room for guests" : ""}`;
  return (
    <div class="fill">
      <svg class={isShort ? "short" : ""} role="img" aria-label={label}>
        <defs>
          <pattern
            id={stripes}
            width="6"
            height="6"
            patternUnits="userSpaceOnUse"
            patternTransform="rotate(45)"
          >
            <rect class="fill-stripe" width="3" height="6" />
          </pattern>
        </defs>
        <rect class="fill-free" width="100%" height="100%" />
        <rect x={`${used}%`} width={`${promised}%`} height="100%" fill={`url(#${stripes})`} />
        <rect class={used > 90 ? "fill-used full" : "fill-used"} width={`${used}%`} height="100%" />
      </svg>
      <p>
        <strong>{Math.round(used)} %</strong> of {mibText(pool.size)}
      </p>
    </div>
  );
}
