/** Chromium of the machine, without a network; without a graphics card, or with one in software. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const places = [
  process.env.ATTUNE_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Where Chromium is, or undefined. */
export const chromiumPath = places.find((path) => path && existsSync(path));

export const whyNoChromium = `no Chromium: neither $ATTUNE_CHROMIUM nor ${places.slice(1).join(", ")} exists`;

const withoutGpu = ["--disable-gpu"];
/** SwiftShader, the graphics driver in software that Chromium brings along. */
const softwareGpu = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--disable-vulkan-surface",
];

export const launch = ({ gpu = false } = {}): Promise<Browser> =>
  chromium.launch({
    executablePath: chromiumPath as string,
    args: [
      "--headless",
      "--no-sandbox",
      ...(gpu ? softwareGpu : withoutGpu),
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
