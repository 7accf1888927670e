export { DatafeedError, type ConnectionOptions } from "./connection";
export { Datafeed } from "./datafeed";
export type * from "./library";
