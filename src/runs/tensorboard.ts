/**
 * TensorBoard event files of a run (Node): each metric is a scalar under its own name.
 *
 * The messages are those of tensorflow/core/util/event.proto and framework/summary.proto, as far as scalars need them:
 *
 *     Event   { double wall_time = 1; int64 step = 2; oneof { string file_version = 3; Summary summary = 5;
 *               SessionLog session_log = 7 } }
 *     Summary { repeated Value value = 1 }     Value { string tag = 1; float simple_value = 2 }
 *     SessionLog { enum status = 1 }           START = 1: events of this step and later ones no longer count
 */
import { appendFile, mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { tfRecord } from "./tfrecord.ts";

export interface EventFile {
  write(step: number, scalars: Readonly<Record<string, number>>): Promise<void>;
}

type Encode = (writer: BinaryWriter) => BinaryWriter;

const message = (writer: BinaryWriter, field: number, encode: Encode): BinaryWriter =>
  encode(writer.tag(field, WireType.LengthDelimited).fork()).join();

const event = (seconds: number, step: number, what: Encode): Uint8Array =>
  tfRecord(
    what(
      new BinaryWriter().tag(1, WireType.Bit64).double(seconds).tag(2, WireType.Varint).int64(step),
    ).finish(),
  );

const fileVersion: Encode = (writer) => writer.tag(3, WireType.LengthDelimited).string("brain.Event:2");

const sessionStart: Encode = (writer) => message(writer, 7, (log) => log.tag(1, WireType.Varint).int32(1));

const summary =
  (scalars: Readonly<Record<string, number>>): Encode =>
  (writer) =>
    message(writer, 5, (all) => {
      for (const [tag, value] of Object.entries(scalars))
        message(all, 1, (one) =>
          one.tag(1, WireType.LengthDelimited).string(tag).tag(2, WireType.Bit32).float(value),
        );
      return all;
    });

/**
 * Starts an event file. TensorBoard joins all files of the folder; those of a resumed run say from which step on what
 * was written before is void.
 *
 * @param after the step that the run goes on after, 0 for a new one
 * @param now seconds since 1970
 */
export async function openEvents(
  dir: string,
  after: number,
  now: () => number = () => Date.now() / 1000,
): Promise<EventFile> {
  await mkdir(dir, { recursive: true });
  const started = now();
  // Readers sort by name: files of one second must differ, and keep their order.
  const path = join(dir, `events.out.tfevents.${started.toFixed(3)}.${hostname()}.${process.pid}`);
  const start = [event(started, 0, fileVersion)];
  if (after > 0) start.push(event(started, after + 1, sessionStart));
  await appendFile(path, Buffer.concat(start));
  return { write: (step, scalars) => appendFile(path, event(now(), step, summary(scalars))) };
}
