import { runSchedule } from './run.ts';
import { SimNode } from './node.ts';
const orig = SimNode.prototype.toMachine;
SimNode.prototype.toMachine = function (e) {
  const b = this.machine;
  orig.call(this, e);
  const a = this.machine;
  if (
    a &&
    b &&
    this.world.queue.now > Number(process.argv[3]) &&
    this.world.queue.now < Number(process.argv[4])
  ) {
    console.log(
      this.world.queue.now.toFixed(1),
      this.name,
      JSON.stringify(e).slice(0, 620),
      'fresh',
      a.fresh,
      'stale',
      a.memo.stale,
      'ep',
      a.epoch,
      'data',
      JSON.stringify(a.data),
      a.copy,
      'lease',
      a.lease.untilMs.toFixed(0),
      'now',
      this.localNow.toFixed(0),
    );
  }
};
runSchedule({ seed: Number(process.argv[2]), traceTo: (l) => console.log(l) });
