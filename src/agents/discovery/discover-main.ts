// Prints what discovery proposes, as JSON: a program of its own, so that who asks for it (the service) neither waits
// nor keeps the databases' drivers in memory.
import { discover } from './discover.ts';

process.stdout.write(JSON.stringify(discover()));
