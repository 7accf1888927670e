import { App } from "./app";
import { takeTokenFromAddress } from "./token";

takeTokenFromAddress();
new App().start();
